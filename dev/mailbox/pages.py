"""The pages for people: the list, and one mail as a reader would see it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web

from dev.mailbox.api import MAILBOX, page, wanted, whole
from dev.mailbox.parse import texts

FOLDER: Final = Path(__file__).parent / "pages"
PAGE_SIZE: Final = 50
HEAD: Final = re.compile(r"<head[^>]*>", re.IGNORECASE)
# Links of a mail open beside the mailbox: most pages refuse to be shown in a frame.
BASE: Final = '<base target="_blank">'

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# A mail is foreign: no scripts, no origin, nothing fetched but pictures over TLS.
MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data: https:; frame-ancestors 'self'"
)
HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

routes: Final = web.RouteTableDef()
_templates: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
)


def _show(name: str, **values: Any) -> web.Response:
    return web.Response(
        text=_templates.get_template(name).render(values),
        content_type="text/html",
        headers={**HEADERS, "Content-Security-Policy": POLICY},
    )


@routes.get("/")
async def index(request: web.Request) -> web.Response:
    """List the mails, newest first, fifty a page."""
    mailbox = request.app[MAILBOX]
    start = whole(request, "start", 0)
    mails = await page(mailbox, start, PAGE_SIZE)
    return _show(
        "list.html",
        mails=mails,
        start=start,
        total=len(mailbox),
        newer=max(0, start - PAGE_SIZE) if start else None,
        older=start + PAGE_SIZE if start + PAGE_SIZE < len(mailbox) else None,
    )


@routes.get("/mail/{id}")
async def mail(request: web.Request) -> web.Response:
    """Show one mail: headers, HTML in a frame, text."""
    found = wanted(request)
    text, html = texts(found.content)
    return _show("mail.html", mail=found, text=text, html=html)


@routes.get("/mail/{id}/html")
async def body(request: web.Request) -> web.Response:
    """Serve the HTML of one mail, for the frame."""
    _, html = texts(wanted(request).content)
    based, count = HEAD.subn(lambda head: head[0] + BASE, html, count=1)
    return web.Response(
        text=based if count else BASE + html,
        content_type="text/html",
        headers={**HEADERS, "Content-Security-Policy": MAIL_POLICY},
    )


@routes.get("/{name:style.css|list.js}")
async def static(request: web.Request) -> web.FileResponse:
    """Serve what the pages use."""
    return web.FileResponse(FOLDER / request.match_info["name"], headers=HEADERS)
