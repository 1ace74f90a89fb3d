"""Waiting for servers: each wait has its limit, and all can be ended at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """What a worker that stops has no more of. `over` says so."""

    def __init__(self) -> None:
        self.over = False
        self._waits: set[asyncio.Timeout] = set()

    async def wait(self, answer: Awaitable[T], seconds: float | None) -> T:
        """Return the answer; TimeoutError after those seconds, or as soon as it is over."""
        wait = asyncio.timeout(0 if self.over else seconds)
        self._waits.add(wait)
        try:
            async with wait:
                return await answer
        except TimeoutError as error:
            if not wait.expired():
                raise
            told = "the worker stops" if self.over else f"no answer within {seconds:g} s"
            raise TimeoutError(told) from error
        finally:
            self._waits.discard(wait)

    def end(self) -> None:
        """Wait no more: neither for what is under way nor for what is to come."""
        self.over = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())
