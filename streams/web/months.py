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
from streams.web.pages import Pages
from streams.web.peers import Peers
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
        return await self._peers.pass_on(request, owner, f"/me/{quote(token, safe='')}")

    def _page(self, request: web.Request, user_id: str, month: str | None) -> web.Response:
        now = self._site.statistics(user_id, None)
        earlier = islice(months_back(now["month"], SHOWN), 1, None)
        year = [now, *(self._site.statistics(user_id, one) for one in earlier)]
        known = {one["month"]: one for one in year}
        month = month or next((one["month"] for one in year if one["films"]), now["month"])
        before = month_before(month)
        return self._pages.page(
            request,
            "months",
            shown=known.get(month) or self._site.statistics(user_id, month),
            before=known.get(before) or self._kept(user_id, before),
            year=list(_bars(year)),
            this=now["month"],
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
