"""Ends sockets whose token was revoked, on this worker; each worker has a watch of its own."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from sender.web.line import UNAUTHORIZED, Line
from streams.errors import RedisUnavailable
from streams.revocations import ALL, BEGINNING, Revocations, names_of
from streams.tasks import end
from streams.tokens import Claims

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5
REVOKED: Final = "the token was revoked"


class Watch:
    """Knows which token each open socket came with, and listens for those that are revoked."""

    def __init__(self, revocations: Revocations) -> None:
        """Listen when started."""
        self._revocations = revocations
        self._held: dict[Line, list[Claims]] = {}
        self._lines: defaultdict[bytes, set[Line]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Listen no more."""
        await end(self._task)

    async def admit(self, line: Line, claims: Claims) -> None:
        """Note the socket's token, in place of an earlier one, once it is known to be good.

        Raises NotAllowed for a token that was revoked, RedisUnavailable while nobody can tell.
        """
        # Noted before it is looked up: what is revoked in between is heard.
        earlier = self._held.get(line, [])
        self._hold(line, [*earlier, claims])
        try:
            await self._revocations.check(claims)
        except BaseException:
            self._hold(line, earlier)
            raise
        self._hold(line, [claims])

    def forget(self, line: Line) -> None:
        """Watch a socket that has ended no more."""
        self._hold(line, [])

    def _hold(self, line: Line, held: list[Claims]) -> None:
        for name in _names(self._held.pop(line, [])):
            self._lines[name].discard(line)
            if not self._lines[name]:
                del self._lines[name]
        if held:
            self._held[line] = held
            for name in _names(held):
                self._lines[name].add(line)

    async def _run(self) -> None:
        place = BEGINNING
        while True:
            try:
                place, names = await self._revocations.heard(place)
                await self._end(names)
            except RedisUnavailable:
                # What is told again ends nobody whose token is good.
                place = BEGINNING
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("listening for revoked tokens failed")
                place = BEGINNING
                await asyncio.sleep(RETRY_SECONDS)

    async def _end(self, names: list[bytes]) -> None:
        """End the sockets of those names whose tokens were revoked."""
        if ALL in names:
            lines = set(self._held)
        else:
            lines = {line for name in set(names) for line in self._lines.get(name, ())}
        pairs = [(line, claims) for line in lines for claims in self._held[line]]
        revoked = await self._revocations.revoked([claims for _, claims in pairs])
        for (line, _), gone in zip(pairs, revoked, strict=True):
            if gone:
                line.end(UNAUTHORIZED, REVOKED)


def _names(held: Iterable[Claims]) -> set[bytes]:
    return {name for claims in held for name in names_of(claims)}
