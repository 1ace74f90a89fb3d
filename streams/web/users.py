"""One person's numbers, choices and deliveries, answered by any worker for any person."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web

from streams import links
from streams.errors import InvalidLink, NotKept
from streams.fields import ID_LENGTH, MONTH
from streams.web.answers import answer, problem
from streams.web.guard import Guard
from streams.web.peers import Peers
from streams.web.site import Site


class Users:
    """`GET /users/{user_id}/…`, and `GET /preferences/{token}` for the sender's page."""

    def __init__(self, site: Site, guard: Guard, peers: Peers) -> None:
        """Take what the handlers need."""
        self._site = site
        self._guard = guard
        self._peers = peers
        self._tokens = links.Tokens(site.settings.link_secret)

    def mount(self, web_app: web.Application) -> None:
        """Serve them."""
        web_app.router.add_get("/users/{user_id}/statistics", self.statistics)
        web_app.router.add_get("/users/{user_id}/deliveries", self.deliveries)
        web_app.router.add_get("/users/{user_id}/preferences", self.preferences)
        web_app.router.add_get("/users/{user_id}/preview/{template}", self.preview)
        web_app.router.add_get("/preferences/{token}", self.own_preferences)

    async def statistics(self, request: web.Request) -> web.Response:
        """Answer from the tables if the person lives here, else ask the worker where they do."""
        user_id = request.match_info["user_id"]
        if (refusal := await self._refuse(request, user_id)) is not None:
            return refusal
        month = request.query.get("month")
        if month is not None and not re.fullmatch(MONTH, month):
            return problem(400, "`month` is written as 2026-10")
        path = f"/users/{quote(user_id, safe='')}/statistics"
        return await self._owner(
            request, user_id, path, lambda: self._site.statistics(user_id, month)
        )

    async def deliveries(self, request: web.Request) -> web.Response:
        """List what was sent to the person and what was not, newest first, each with why."""
        user_id = request.match_info["user_id"]
        if (refusal := await self._refuse(request, user_id)) is not None:
            return refusal
        return answer(await self._site.deliveries(user_id))

    async def preferences(self, request: web.Request) -> web.Response:
        """Say what holds for a person now: their own choices over the profile."""
        user_id = request.match_info["user_id"]
        if (refusal := await self._refuse(request, user_id)) is not None:
            return refusal
        path = f"/users/{quote(user_id, safe='')}/preferences"
        return await self._owner(request, user_id, path, lambda: self._site.preferences(user_id))

    async def own_preferences(self, request: web.Request) -> web.Response:
        """Say the same to whoever holds the person's link: its page is the sender's, and asks."""
        token = request.match_info["token"]
        try:
            (user_id,) = self._tokens.open(links.PREFERENCES, token, links.PREFERENCES_AGE)
        except InvalidLink:
            raise web.HTTPNotFound from None
        path = f"/preferences/{quote(token, safe='')}"
        return await self._owner(request, user_id, path, lambda: self._site.preferences(user_id))

    async def preview(self, request: web.Request) -> web.Response:
        """Say with what a mail to this person would be written now, to those who may read."""
        if (refusal := self._guard.reader(request)) is not None:
            return refusal
        user_id, template = request.match_info["user_id"], request.match_info["template"]
        if len(user_id) > ID_LENGTH:
            return problem(404, "Not Found")
        path = f"/users/{quote(user_id, safe='')}/preview/{quote(template, safe='')}"
        return await self._owner(
            request, user_id, path, lambda: self._site.preview(user_id, template)
        )

    async def _owner(
        self, request: web.Request, user_id: str, path: str, look_up: Callable[[], dict[str, Any]]
    ) -> web.Response:
        """Answer from the tables if the person lives here, else what their worker answers."""
        owner = self._site.owner_url(user_id)
        if owner is not None:
            return await self._peers.pass_on(request, owner, path)
        try:
            return answer(look_up())
        except NotKept as error:
            return problem(404, str(error))

    async def _refuse(self, request: web.Request, user_id: str) -> web.Response | None:
        if (refusal := await self._guard.person(request, user_id)) is not None:
            return refusal
        if len(user_id) > ID_LENGTH:
            return problem(404, "Not Found")
        return None
