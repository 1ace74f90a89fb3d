"""What operators look at, and how they come in."""

from __future__ import annotations

import asyncio
from operator import itemgetter
from typing import Any, Final

import msgspec
from aiohttp import web

from streams import links
from streams.settings import Settings
from streams.web.answers import answer, form, wants_page
from streams.web.campaigns import firings, listed, merged
from streams.web.guard import Guard
from streams.web.pages import Pages
from streams.web.peers import ROUTED, Peers
from streams.web.site import Site

# Where a login leads: to the page that was asked for, else to the overview.
HOME: Final = "/status"
ROOMS: Final = (HOME, "/campaigns")


class Operators:
    """`/login` and `/campaigns`, and who may see these pages."""

    def __init__(self, site: Site, guard: Guard, pages: Pages, peers: Peers) -> None:
        """Take what the handlers need."""
        self._site = site
        self._peers = peers
        self._guard = guard
        self._pages = pages

    def mount(self, web_app: web.Application) -> None:
        """Serve them."""
        web_app.router.add_get("/login", self.ask)
        web_app.router.add_post("/login", self.login)
        web_app.router.add_get("/campaigns", self.campaigns)

    async def ask(self, request: web.Request) -> web.Response:
        """Show the form; with a login link it holds the link's token and needs no key."""
        link = request.query.get("link", "")
        stale = bool(link) and not self._guard.opens(link)
        return self._door(request, link="" if stale else link, stale=stale)

    async def login(self, request: web.Request) -> web.Response:
        """Give the cookie for a key of scope read or a login link, and lead on."""
        fields = await form(request)
        key, link = fields.get("key"), fields.get("link")
        # One of ours, and nothing else that a form may name.
        to = next((room for room in ROOMS if room == fields.get("to")), HOME)
        if not self._guard.login(
            key if isinstance(key, str) else None, link if isinstance(link, str) else None
        ):
            return self._door(request, 401, to=to, stale=bool(link), wrong=bool(key))
        response = web.Response(status=303, headers={"Location": to})
        self._guard.start_session(response)
        return response

    async def campaigns(self, request: web.Request) -> web.Response:
        """List the campaigns, each with its next instants: as JSON, to a browser as a page."""
        if (refusal := self.closed(request)) is not None:
            return refusal
        found = await self.known(request)
        if ROUTED in request.headers:
            return answer(found)
        if wants_page(request):
            return self._pages.page(
                request,
                "campaigns",
                rooms=self.rooms(request),
                campaigns=found,
                firings={one["campaign_id"]: firings(one["next"]) for one in found},
            )
        return answer(listed(found))

    def rooms(self, request: web.Request) -> dict[str, str]:
        """Return where the operators' pages are; previews are the sender's."""
        public, locale = self._site.settings.public_url, self._pages.locale(request)
        ours = {room.strip("/"): room for room in ROOMS}
        return {**ours, "preview": f"{public}/preview/welcome/{locale}"}

    def closed(self, request: web.Request) -> web.Response | None:
        """Return the refusal of who may not read: to a browser that may log in, the way in."""
        refusal = self._guard.reader(request)
        if refusal is not None and refusal.status == 401 and wants_page(request):
            return self._door(request, 401, to=request.path)
        return refusal

    def _door(
        self,
        request: web.Request,
        status: int = 200,
        *,
        to: str = HOME,
        link: str = "",
        stale: bool = False,
        wrong: bool = False,
    ) -> web.Response:
        return self._pages.page(
            request, "login", status=status, to=to, link=link, stale=stale, wrong=wrong
        )

    async def known(self, request: web.Request) -> list[dict[str, Any]]:
        """Return the campaigns as all workers know them: zones and audiences are by partition."""
        peers = () if ROUTED in request.headers else self._site.peers()
        asked = (self._peers.ask(request, base, "/campaigns") for base in peers)
        ours, *replies = await asyncio.gather(self._site.campaigns(), *asked)
        found = [dict(campaign) for campaign in ours]
        for reply in replies:
            if reply is not None and reply.status == 200:
                found = merged(found, msgspec.json.decode(reply.body))
        # Partitions hear of them in different orders.
        return sorted(found, key=itemgetter("campaign_id"))


def login_link(settings: Settings, base: str | None = None) -> str:
    """Return a link that opens the operators' pages, good for an hour.

    `base` is the streams worker's own URL, by default the one it binds to.
    """
    host = "localhost" if settings.web_bind in ("0.0.0.0", "::", "") else settings.web_bind
    base = base or f"http://{host}:{settings.streams_port}"
    token = links.Tokens(settings.link_secret).sign(links.LOGIN, "read")
    return f"{base.rstrip('/')}/login?link={token}"
