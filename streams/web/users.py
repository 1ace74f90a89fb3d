"""One person's numbers and deliveries, answered by any worker for any person."""

from __future__ import annotations

import re
from urllib.parse import quote

from aiohttp import web

from streams.errors import NotKept
from streams.fields import ID_LENGTH, MONTH
from streams.web.answers import answer, problem
from streams.web.guard import Guard
from streams.web.peers import Peers
from streams.web.site import Site


class Users:
    """`GET /users/{user_id}/…`."""

    def __init__(self, site: Site, guard: Guard, peers: Peers) -> None:
        """Take what the handlers need."""
        self._site = site
        self._guard = guard
        self._peers = peers

    def mount(self, web_app: web.Application) -> None:
        """Serve them."""
        web_app.router.add_get("/users/{user_id}/statistics", self.statistics)
        web_app.router.add_get("/users/{user_id}/deliveries", self.deliveries)

    async def statistics(self, request: web.Request) -> web.Response:
        """Answer from the tables if the person lives here, else ask the worker where they do."""
        user_id = request.match_info["user_id"]
        if (refusal := await self._refuse(request, user_id)) is not None:
            return refusal
        month = request.query.get("month")
        if month is not None and not re.fullmatch(MONTH, month):
            return problem(400, "`month` is written as 2026-10")
        owner = self._site.owner_url(user_id)
        if owner is None:
            try:
                return answer(self._site.statistics(user_id, month))
            except NotKept as error:
                return problem(404, str(error))
        path = f"/users/{quote(user_id, safe='')}/statistics"
        return await self._peers.pass_on(request, owner, path)

    async def deliveries(self, request: web.Request) -> web.Response:
        """List what was sent to the person and what was not, newest first, each with why."""
        user_id = request.match_info["user_id"]
        if (refusal := await self._refuse(request, user_id)) is not None:
            return refusal
        return answer(await self._site.deliveries(user_id))

    async def _refuse(self, request: web.Request, user_id: str) -> web.Response | None:
        if (refusal := await self._guard.person(request, user_id)) is not None:
            return refusal
        if len(user_id) > ID_LENGTH:
            return problem(404, "Not Found")
        return None
