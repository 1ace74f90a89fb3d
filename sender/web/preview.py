"""The preview of every template in every locale, as a recipient's mail client would have it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from secrets import token_urlsafe
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sender.catalogue import TEMPLATES
from sender.message import Mail, build
from sender.render import Rendered, Renderer
from sender.samples import sample_job, sample_links
from streams.errors import TemplateError
from streams.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GUARDS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The mail itself: styles and pictures as in a mail client; `sandbox` takes scripts, forms and our
# origin from it, also where it is opened outside of the page's frame.
MAIL_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; "
    "frame-ancestors 'self'"
)
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'nonce-{nonce}'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def make_preview(renderer: Renderer, settings: Settings) -> Handler:
    """Return the handler of `GET /preview/{template}/{locale}`; who may see it is not its matter.

    `?part=html|text|source` gives one part as it is. A template or locale that does not exist is
    404, one that raises 500 with the cause.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        auto_reload=False,
    )
    page = environment.get_template("preview.html")

    def answer(request: web.Request, status: int = 200, **fields: Any) -> web.Response:
        nonce = token_urlsafe(16)
        fields |= {
            "nonce": nonce,
            "templates": renderer.templates(),
            "template": request.match_info["template"],
            "locale": request.match_info["locale"],
            # Links go up from here, so that a proxy may serve us under a prefix.
            "base": "../",
        }
        return web.Response(
            text=page.render(fields),
            status=status,
            content_type="text/html",
            headers={**GUARDS, "Content-Security-Policy": PAGE_POLICY.format(nonce=nonce)},
        )

    async def preview(request: web.Request) -> web.StreamResponse:
        template, locale = request.match_info["template"], request.match_info["locale"]
        if locale not in renderer.templates().get(template, ()):
            reason = f"There is no template {template!r} in locale {locale!r}."
            return answer(request, 404, title="No such template", reason=reason, mail=None)
        job = sample_job(template, locale)
        links = sample_links(job, settings)
        try:
            rendered = renderer.render(job, links)
        except TemplateError as error:
            return answer(request, 500, title="It raises", reason=str(error), mail=None)
        mail = Mail.of(job, rendered, links, settings.mail_from, job.created_at)
        source = build(mail, eightbit=True)
        part = request.query.get("part")
        if part is not None:
            return _part(part, rendered, source)
        return answer(
            request,
            title=f"{template}/{locale}",
            mail=mail,
            subject=rendered.subject,
            headers=source.partition(b"\r\n\r\n")[0].decode().replace("\r\n", "\n"),
            text=rendered.text,
            size=len(source),
        )

    return preview


def _part(part: str, rendered: Rendered, source: bytes) -> web.Response:
    if part == "html":
        headers = {**GUARDS, "Content-Security-Policy": MAIL_POLICY}
        return web.Response(text=rendered.html, content_type="text/html", headers=headers)
    texts = {"text": rendered.text.encode(), "source": source}
    if part not in texts:
        raise web.HTTPNotFound(text="part is one of html, text, source")
    return web.Response(
        body=texts[part], content_type="text/plain", charset="utf-8", headers=GUARDS
    )
