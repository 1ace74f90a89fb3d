"""The other workers of the app: asked with the caller's own credentials, once."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from yarl import URL

from streams.web.answers import later
from streams.web.client import Answer, Client, passed
from streams.web.limiter import COUNTED

#: Set on a request that a worker passes on; one that has it is not passed on again.
ROUTED: Final = "Cinema-Routed"
# A peer answers from memory: one that is silent for so long is stopping or dead.
SECONDS: Final = 5.0


class Peers:
    """The other workers, with a client for them."""

    def __init__(self, mark: str) -> None:
        """Say by that mark that a request was counted here."""
        self._mark = mark
        self._client = Client(SECONDS)
        self.run = self._client.run

    async def pass_on(self, request: web.Request, owner: str, path: str) -> web.Response:
        """Answer what the worker that has a person answers, or say when to ask again."""
        if ROUTED in request.headers:
            return later("the person is moving to another worker")
        reply = await self.ask(request, owner, path)
        if reply is None:
            return later("the worker that has this person does not answer")
        if reply.status >= 500:
            return later("the worker that has this person is not ready")
        return web.Response(body=reply.body, status=reply.status, content_type=reply.content_type)

    async def ask(self, request: web.Request, base: str, path: str) -> Answer | None:
        """Pass a request on to another worker; None where that one does not answer.

        `path` is quoted; the query goes along.
        """
        url = URL(base.rstrip("/") + path, encoded=True).with_query(request.query)
        headers = {**passed(request), ROUTED: "1", COUNTED: self._mark}
        return await self._client.get(url, headers)

    async def look(self, base: str, path: str) -> Answer | None:
        """Ask another worker, of whichever app, for what needs no credentials."""
        return await self._client.get(URL(base.rstrip("/") + path), {})
