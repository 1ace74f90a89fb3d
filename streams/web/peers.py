"""The other workers of the app: asked with the caller's own credentials, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from streams.web.answers import later
from streams.web.limiter import COUNTED

#: Set on a request that a worker passes on; one that has it is not passed on again.
ROUTED: Final = "Cinema-Routed"
#: The caller's own credentials, which the worker that is asked looks at itself, and language.
PASSED: Final = ("Authorization", "Cookie", "Accept-Language")
# A peer answers from memory: one that is silent for so long is stopping or dead.
TIMEOUT: Final = ClientTimeout(total=5.0)


class Answer(NamedTuple):
    """What another worker answered."""

    status: int
    body: bytes
    content_type: str


class Peers:
    """A client for the other workers, as long as the app runs."""

    def __init__(self, mark: str) -> None:
        """Say by that mark that a request was counted here; open nothing yet."""
        self._mark = mark
        self._client: ClientSession | None = None

    async def run(self, web_app: web.Application) -> AsyncIterator[None]:
        """Hold the client; to be put into the application's `cleanup_ctx`."""
        async with ClientSession(timeout=TIMEOUT) as self._client:
            yield

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
        headers = {name: request.headers[name] for name in PASSED if name in request.headers}
        url = URL(base.rstrip("/") + path, encoded=True).with_query(request.query)
        return await self._get(url, {**headers, ROUTED: "1", COUNTED: self._mark})

    async def look(self, base: str, path: str) -> Answer | None:
        """Ask another worker, of whichever app, for what needs no credentials."""
        return await self._get(URL(base.rstrip("/") + path), {})

    async def _get(self, url: URL, headers: dict[str, str]) -> Answer | None:
        assert self._client is not None
        try:
            async with self._client.get(url, headers=headers, allow_redirects=False) as response:
                return Answer(response.status, await response.read(), response.content_type)
        except (ClientError, TimeoutError, OSError):
            return None
