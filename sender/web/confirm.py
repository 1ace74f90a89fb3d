"""`/confirm/{code}`: a person says that the address is theirs. A scanner's look says nothing.

An expired link may be renewed with a press of a button, once. Whatever the code, the page and its
answer are the same: neither tells whether there is such a person.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from sender.links import ConfirmLink, safe_redirect
from sender.web.site import SenderSite
from streams.errors import InvalidLink, Retryable
from streams.jobs import Confirmation, encode
from streams.records import Output
from streams.topics import CONFIRMATIONS, REGISTRATION
from streams.web.answers import RETRY_AFTER, form
from streams.web.pages import Pages


class Confirm:
    """The page and what its form does."""

    def __init__(self, site: SenderSite, pages: Pages) -> None:
        """Take what the handlers need."""
        self._site = site
        self._pages = pages
        counter = site.metrics.counter
        self._confirmed = counter("confirmations", "Addresses confirmed.")
        self._visits = counter("confirm_visits", "Visits of confirmation links that hold.")
        self._renewed = counter("confirm_renewals", "New links asked for.")

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
        """Publish the confirmation and, once Kafka has it, lead on; or ask for a new link."""
        try:
            if "renew" in await form(request):
                return await self._renew(request)
            return await self._publish(await self._find(request, visit=False), 303)
        except InvalidLink:
            return self._gone(request)
        except Retryable:
            return later(self._pages, request)

    async def _renew(self, request: web.Request) -> web.Response:
        code = request.match_info["code"]
        link = await self._site.confirm_links.expired(code, self._site.now())
        if link is not None:
            event = {
                "event": "send_greeting",
                "event_id": f"renew {code}",
                "user_id": link.user_id,
                "email": link.email,
                "redirect_url": link.redirect,
                "renews": code,
            }
            await self._site.produce(
                [Output(REGISTRATION, link.user_id, msgspec.json.encode(event))]
            )
            await self._site.confirm_links.renewed(code)
            self._renewed.inc()
        home = self._site.settings.cinema_url
        return self._pages.message(request, "renewed", 200, url=home)

    async def _find(self, request: web.Request, *, visit: bool) -> ConfirmLink:
        code = request.match_info["code"]
        link = await self._site.confirm_links.find(code, self._site.now(), visit=visit)
        self._visits.inc(visit)
        return link

    async def _publish(self, link: ConfirmLink, status: int) -> web.Response:
        value = Confirmation(user_id=link.user_id, email=link.email, at=self._site.now())
        await self._site.produce([Output(CONFIRMATIONS, link.user_id, encode(value))])
        self._confirmed.inc()
        return web.Response(status=status, headers={"Location": self._target(link)})

    def _target(self, link: ConfirmLink) -> str:
        # Asked again: a host may have left the list since the mail was sent.
        return safe_redirect(link.redirect, self._site.settings)

    def _gone(self, request: web.Request) -> web.Response:
        home = self._site.settings.cinema_url
        return self._pages.page(request, "confirm_gone", status=404, home=home)


def later(pages: Pages, request: web.Request) -> web.Response:
    """Return the page that asks a person to come back in a minute."""
    response = pages.message(request, "later", 503)
    response.headers["Retry-After"] = RETRY_AFTER
    return response
