"""What only a streams worker knows, asked of any of them: its tables hold the people."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from yarl import URL

from streams.web.client import Answer, Client
from streams.web.limiter import COUNTED

# A page waits for it: workers answer from memory, or pass the question on once.
SECONDS: Final = 1.0
# One may have just been killed; with two of them silent the page is shown without.
TRIES: Final = 2
# With a Redis that hangs, which knows where they are.
WITHIN: Final = 2.0


class Upstream:
    """The streams workers, with a client for them."""

    def __init__(self, urls: Callable[[], Awaitable[Sequence[str]]], mark: str) -> None:
        """Ask the workers at those base URLs, and say by that mark that it was counted here."""
        self._urls = urls
        self._mark = mark
        self._client = Client(SECONDS)
        self.run = self._client.run

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer | None:
        """Return what a streams worker answers at a quoted path; None where none can in time."""
        try:
            return await asyncio.wait_for(self._get(path, headers), WITHIN)
        except TimeoutError:
            return None

    async def _get(self, path: str, headers: Mapping[str, str] | None) -> Answer | None:
        headers = {**(headers or {}), COUNTED: self._mark}
        urls = list(await self._urls())
        for base in random.sample(urls, min(TRIES, len(urls))):
            reply = await self._client.get(URL(base.rstrip("/") + path, encoded=True), headers)
            if reply is not None and reply.status < 500:
                return reply
        return None
