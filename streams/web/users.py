"""One person's numbers and deliveries, answered by any worker for any person."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from streams.fields import ID_LENGTH, MONTH
from streams.web.answers import answer, later, problem
from streams.web.guard import Guard
from streams.web.site import Site

#: Set on a request that a worker passes on; one that has it is not passed on again.
ROUTED: Final = "Cinema-Routed"
#: The caller's own credentials: the owner looks at them itself.
CREDENTIALS: Final = ("Authorization", "Cookie")
# The owner answers from memory: one that is silent for so long is stopping or dead.
OWNER_TIMEOUT: Final = ClientTimeout(total=5.0)


class Users:
    """`GET /users/{user_id}/…`."""

    def __init__(self, site: Site, guard: Guard) -> None:
        """Take what the handlers need."""
        self._site = site
        self._guard = guard
        self._client: ClientSession | None = None

    def mount(self, web_app: web.Application) -> None:
        """Serve them, with a client for the other workers as long as the app runs."""
        web_app.router.add_get("/users/{user_id}/statistics", self.statistics)
        web_app.router.add_get("/users/{user_id}/deliveries", self.deliveries)
        web_app.cleanup_ctx.append(self._open)

    async def _open(self, web_app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(timeout=OWNER_TIMEOUT) as self._client:
            yield

    async def statistics(self, request: web.Request) -> web.Response:
        """Answer from the tables if the person lives here, else ask the worker where they do."""
        user_id = request.match_info["user_id"]
        if (refusal := self._refuse(request, user_id)) is not None:
            return refusal
        month = request.query.get("month")
        if month is not None and not re.fullmatch(MONTH, month):
            return problem(400, "`month` is written as 2026-10")
        owner = self._site.owner_url(user_id)
        if owner is None:
            return answer(self._site.statistics(user_id, month))
        if ROUTED in request.headers:
            return later("the person is moving to another worker")
        path = f"/users/{quote(user_id, safe='')}/statistics"
        return await self._ask(request, owner.rstrip("/") + path, month)

    async def deliveries(self, request: web.Request) -> web.Response:
        """List what was sent to the person and what was not, newest first, each with why."""
        user_id = request.match_info["user_id"]
        if (refusal := self._refuse(request, user_id)) is not None:
            return refusal
        return answer(await self._site.deliveries(user_id))

    def _refuse(self, request: web.Request, user_id: str) -> web.Response | None:
        if (refusal := self._guard.person(request, user_id)) is not None:
            return refusal
        if len(user_id) > ID_LENGTH:
            return problem(404, "Not Found")
        return None

    async def _ask(self, request: web.Request, url: str, month: str | None) -> web.Response:
        assert self._client is not None
        headers = {name: request.headers[name] for name in CREDENTIALS if name in request.headers}
        target = URL(url, encoded=True)
        try:
            async with self._client.get(
                target.with_query(month=month) if month else target,
                headers={**headers, ROUTED: "1"},
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except (ClientError, TimeoutError, OSError):
            return later("the worker that has this person does not answer")
        if response.status >= 500:
            return later("the worker that has this person is not ready")
        return web.Response(body=body, status=response.status, content_type=response.content_type)
