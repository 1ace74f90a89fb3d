"""`/preview/{template}/{locale}`: every template as a recipient's mail client would have it.

With sample data, or with a person's own, looked up now; nothing is sent, and links open nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from sender.findings import findings
from sender.message import Mail, build
from sender.render import Rendered
from sender.samples import sample_job, sample_links
from sender.web.site import SenderSite
from sender.web.upstream import Upstream
from streams.errors import TemplateError
from streams.jobs import Job
from streams.kinds import KINDS
from streams.web.answers import POLICY, wants_page
from streams.web.client import passed
from streams.web.guard import Guard
from streams.web.pages import Pages

# The mail itself: styles and pictures as in a mail client; `sandbox` takes scripts, forms and our
# origin from it, also where it is opened outside of the page's frame.
MAIL_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; "
    "frame-ancestors 'self'"
)
PAGE_POLICY: Final = POLICY.format(form="'self'") + "; frame-src 'self'"


class Preview:
    """The page, and a mail's parts as they are (`?part=html|text|source`)."""

    def __init__(self, site: SenderSite, guard: Guard, pages: Pages, upstream: Upstream) -> None:
        """Take what the handler needs."""
        self._site = site
        self._guard = guard
        self._pages = pages
        self._upstream = upstream

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/preview/{template}/{locale}", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """Show a template in a locale to those who may read.

        `?user=` writes it with that person's data. A template or locale that does not exist is
        404, one that raises 500 with the cause.
        """
        if (refusal := self._guard.reader(request)) is not None:
            return self._closed(request, refusal)
        template, locale = request.match_info["template"], request.match_info["locale"]
        if locale not in self._site.renderer.templates().get(template, ()):
            return self._page(request, status=404, wrong="none")
        job, person = sample_job(template, locale), await self._person(request)
        if person is not None and person.get("to"):
            job = addressed(job, person)
        settings = self._site.settings
        links = sample_links(job, settings)
        try:
            rendered = self._site.renderer.render(job, links)
        except TemplateError as error:
            return self._page(request, status=500, wrong="raises", cause=str(error))
        mail = Mail.of(job, rendered, links, settings.mail_from, job.created_at)
        source = build(mail, eightbit=True)
        if (part := request.query.get("part")) is not None:
            return _part(part, rendered, source)
        return self._page(
            request,
            subject=rendered.subject,
            source=source.decode(errors="replace").replace("\r\n", "\n"),
            text=rendered.text,
            sizes={
                "whole": len(source),
                "html": len(rendered.html.encode()),
                "text": len(rendered.text.encode()),
            },
            findings=findings(source, listed=KINDS[job.kind].unsubscribable),
            person=person,
        )

    async def _person(self, request: web.Request) -> dict[str, Any] | None:
        """Return with what a mail to that person would be written; {} where it is not known.

        None where nobody is asked for. The streams worker that has the person looks at the
        caller's own credentials.
        """
        user_id = request.query.get("user", "")
        if not user_id:
            return None
        template = quote(request.match_info["template"], safe="")
        path = f"/users/{quote(user_id, safe='')}/preview/{template}"
        reply = await self._upstream.get(path, passed(request))
        if reply is None or reply.status != 200:
            return {}
        found: dict[str, Any] = msgspec.json.decode(reply.body)
        return found

    def _page(self, request: web.Request, *, status: int = 200, **fields: Any) -> web.Response:
        base = self._site.settings.streams_url
        others = {name: f"{base}/{name}" for name in ("status", "campaigns") if base}
        response = self._pages.page(
            request,
            "preview",
            status=status,
            rooms={**others, "preview": request.path},
            templates=self._site.renderer.templates(),
            template=request.match_info["template"],
            language=request.match_info["locale"],
            user=request.query.get("user", ""),
            **{"wrong": None, "cause": None, "person": None, **fields},
        )
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        return response

    def _closed(self, request: web.Request, refusal: web.Response) -> web.Response:
        """Return the refusal; to a browser that may log in, the way to the door."""
        base = self._site.settings.streams_url
        if refusal.status != 401 or not wants_page(request):
            return refusal
        return self._pages.message(request, "closed", 401, url=base and f"{base}/login")


def addressed(job: Job, person: dict[str, Any]) -> Job:
    """Return the sample job as that person's; what an event would bring stays as in the sample."""
    return msgspec.structs.replace(
        job,
        user_id=person["user_id"],
        to=person["to"],
        timezone=person["timezone"],
        created_at=datetime.fromisoformat(person["now"]),
        context=job.context | person["context"],
    )


def _part(part: str, rendered: Rendered, source: bytes) -> web.Response:
    if part == "html":
        headers = {"Content-Security-Policy": MAIL_POLICY}
        return web.Response(text=rendered.html, content_type="text/html", headers=headers)
    texts = {"text": rendered.text.encode(), "source": source}
    if part not in texts:
        raise web.HTTPNotFound
    return web.Response(body=texts[part], content_type="text/plain", charset="utf-8")
