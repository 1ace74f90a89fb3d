"""The page of a person's own months, which the monthly mail links to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from streams import links
from streams.errors import InvalidLink, NotKept
from streams.fields import MONTH
from streams.web.answers import later
from streams.web.pages import Pages
from streams.web.peers import ROUTED, Peers
from streams.web.site import Site
from tables.months import month_before, months_back

# A quarter: it opens a person's data, and the next monthly mail brings a new one.
AGE: Final = timedelta(days=90)
# A year, with its months side by side; older ones are reached with `?month=`.
SHOWN: Final = 12


class Months:
    """`GET /me/{token}`."""

    def __init__(self, site: Site, pages: Pages, peers: Peers) -> None:
        """Take what the handler needs."""
        self._site = site
        self._pages = pages
        self._peers = peers
        self._tokens = links.Tokens(site.settings.link_secret)

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/me/{token}", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """Show the months of whom the token names, from the worker that has this person."""
        token = request.match_info["token"]
        try:
            (user_id,) = self._tokens.open(links.MONTHS, token, AGE)
        except InvalidLink:
            return self._pages.message(request, "gone_token", 404)
        month = request.query.get("month")
        if month is not None and not re.fullmatch(MONTH, month):
            raise web.HTTPNotFound
        owner = self._site.owner_url(user_id)
        if owner is None:
            try:
                return self._page(request, user_id, month)
            except NotKept:
                raise web.HTTPNotFound from None
        if ROUTED in request.headers:
            return later("the person is moving to another worker")
        reply = await self._peers.ask(request, owner, f"/me/{quote(token, safe='')}")
        if reply is None or reply.status >= 500:
            return later("the worker that has this person is not ready")
        return web.Response(body=reply.body, status=reply.status, content_type=reply.content_type)

    def _page(self, request: web.Request, user_id: str, month: str | None) -> web.Response:
        this = self._site.statistics(user_id, None)["month"]
        year = [
            self._site.statistics(user_id, one) for one in islice(months_back(this, SHOWN), SHOWN)
        ]
        month = month or next((one["month"] for one in year if one["films"]), this)
        return self._pages.page(
            request,
            "months",
            shown=self._site.statistics(user_id, month),
            before=self._kept(user_id, month_before(month)),
            year=list(_bars(year)),
            this=this,
        )

    def _kept(self, user_id: str, month: str) -> dict[str, Any] | None:
        try:
            return self._site.statistics(user_id, month)
        except NotKept:
            return None


def _bars(year: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each month with the length of its bar, in per cent of the longest."""
    longest = max((one["films"] for one in year), default=0) or 1
    for one in year:
        yield one, round(100 * one["films"] / longest)
