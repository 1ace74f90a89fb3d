"""`/confirm/{code}`: a person says that the address is theirs. A scanner's look says nothing."""

from __future__ import annotations

from aiohttp import web

from sender.links import ConfirmLink, safe_redirect
from sender.web.site import SenderSite
from streams.errors import InvalidLink, Retryable
from streams.jobs import Confirmation, encode
from streams.records import Output
from streams.topics import CONFIRMATIONS
from streams.web.answers import RETRY_AFTER
from streams.web.pages import Pages


class Confirm:
    """The page and what its form does."""

    def __init__(self, site: SenderSite, pages: Pages) -> None:
        """Take what the handlers need."""
        self._site = site
        self._pages = pages
        self._confirmed = site.metrics.counter("confirmations", "Addresses confirmed.")

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/confirm/{code}", self.show)
        web_app.router.add_post("/confirm/{code}", self.confirm)

    async def show(self, request: web.Request) -> web.Response:
        """Show the form; only where CONFIRM_ON_GET is set, confirm. HEAD does neither."""
        try:
            link = await self._find(request, visit=request.method == "GET")
            if request.method == "GET" and self._site.settings.confirm_on_get:
                return await self._publish(link, 302)
        except InvalidLink:
            return self._gone(request)
        except Retryable:
            return later(self._pages, request)
        return self._pages.page(request, "confirm", form_to=self._target(link))

    async def confirm(self, request: web.Request) -> web.Response:
        """Publish the confirmation and, once Kafka has it, lead on."""
        try:
            return await self._publish(await self._find(request, visit=False), 303)
        except InvalidLink:
            return self._gone(request)
        except Retryable:
            return later(self._pages, request)

    async def _find(self, request: web.Request, *, visit: bool) -> ConfirmLink:
        code = request.match_info["code"]
        return await self._site.confirm_links.find(code, self._site.now(), visit=visit)

    async def _publish(self, link: ConfirmLink, status: int) -> web.Response:
        value = Confirmation(user_id=link.user_id, email=link.email, at=self._site.now())
        await self._site.produce([Output(CONFIRMATIONS, link.user_id, encode(value))])
        self._confirmed.inc()
        return web.Response(status=status, headers={"Location": self._target(link)})

    def _target(self, link: ConfirmLink) -> str:
        # Asked again: a host may have left the list since the mail was sent.
        return safe_redirect(link.redirect, self._site.settings)

    def _gone(self, request: web.Request) -> web.Response:
        return self._pages.message(request, "gone_link", 404, url=self._site.settings.cinema_url)


def later(pages: Pages, request: web.Request) -> web.Response:
    """Return the page that asks a person to come back in a minute."""
    response = pages.message(request, "later", 503)
    response.headers["Retry-After"] = RETRY_AFTER
    return response
