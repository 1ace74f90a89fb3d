"""What only a streams worker knows, asked of any of them: its tables hold the people."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from streams.web.limiter import COUNTED
from streams.web.peers import Answer

# A page waits for it: workers answer from memory, or pass the question on once.
TIMEOUT: Final = ClientTimeout(total=1.0)
# One may have just been killed; with two of them silent the page is shown without.
TRIES: Final = 2
# With a Redis that hangs, which knows where they are.
WITHIN: Final = 2.0


class Upstream:
    """A client for the streams workers, as long as the app runs."""

    def __init__(self, urls: Callable[[], Awaitable[Sequence[str]]], mark: str) -> None:
        """Ask the workers at those base URLs, and say by that mark that it was counted here."""
        self._urls = urls
        self._mark = mark
        self._client: ClientSession | None = None

    async def run(self, web_app: web.Application) -> AsyncIterator[None]:
        """Hold the client; to be put into the application's `cleanup_ctx`."""
        async with ClientSession(timeout=TIMEOUT) as self._client:
            yield

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer | None:
        """Return what a streams worker answers at a quoted path; None where none can in time."""
        try:
            return await asyncio.wait_for(self._get(path, headers), WITHIN)
        except TimeoutError:
            return None

    async def _get(self, path: str, headers: Mapping[str, str] | None) -> Answer | None:
        assert self._client is not None
        headers = {**(headers or {}), COUNTED: self._mark}
        urls = list(await self._urls())
        for base in random.sample(urls, min(TRIES, len(urls))):
            url = URL(base.rstrip("/") + path, encoded=True)
            try:
                async with self._client.get(url, headers=headers, allow_redirects=False) as reply:
                    if reply.status < 500:
                        return Answer(reply.status, await reply.read(), reply.content_type)
            except (ClientError, TimeoutError, OSError):
                continue
        return None
