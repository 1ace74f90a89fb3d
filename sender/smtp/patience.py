"""Waiting for servers: each wait has its limit, and all can be ended at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """What a connection has for its server, until there is no more of it."""

    def __init__(self) -> None:
        """Have as much as each wait says."""
        self._over: str | None = None
        self._waits: set[asyncio.Timeout] = set()

    async def wait(self, answer: Awaitable[T], seconds: float) -> T:
        """Return the answer; TimeoutError after those seconds, or as soon as it is over."""
        wait = asyncio.timeout(seconds if self._over is None else 0)
        self._waits.add(wait)
        try:
            async with wait:
                return await answer
        except TimeoutError as error:
            if not wait.expired():
                raise
            raise TimeoutError(self._over or f"no answer within {seconds:g} s") from error
        finally:
            self._waits.discard(wait)

    def end(self, why: str) -> None:
        """Wait no more: neither for what is under way nor for what is to come."""
        self._over = why
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())
