"""Waits until the workers have processed all there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Final

import aiohttp

from dev.cinema import gauges
from dev.cinema.gauges import Gauges
from dev.cinema.tail import Tail
from dev.errors import NotReady
from dev.stack import Addresses
from streams.progress import BUSY, POSITION

# The pause before a look: each takes about a millisecond of a worker's time, and nothing is done
# sooner, as the embedded broker lets a fetch wait for 20 ms.
POLL: Final = 0.015
# A step takes a fraction of a second; a worker that was killed is back in ten.
LIMIT: Final = 60.0

#: App and topic, and the sum of the next offsets to process.
Positions = dict[tuple[int, str], float]


class Rest:
    """Looks at the workers and at the topics, by turns; `sent` is what the demo sent itself."""

    def __init__(
        self,
        addresses: Addresses,
        session: aiohttp.ClientSession,
        tail: Tail,
        sent: Mapping[str, int],
    ) -> None:
        self._apps = (addresses.streams, addresses.sender)
        self._session = session
        self._tail = tail
        self._sent = sent

    async def settle(self) -> None:
        """Wait until nothing is left to process; raises NotReady after a minute.

        Nothing is left when no worker was at work, and none had moved, between two looks, and all
        of them stand where the topics, read between the two, end.
        """
        before: Positions | None = None

        async def quiet() -> bool:
            nonlocal before
            now = await self._positions()
            if now is None or not self._reached(now):
                before = None
                return False
            if now == before:
                # More than there is: a partition is on its way from one worker to another.
                return all(value == self._ends(topic) for (_, topic), value in now.items())
            before = now
            await self._tail.read()
            # The second look follows at once: only what is in flight takes time.
            return await quiet()

        await _until(quiet)

    async def know_films(self, number: int) -> None:
        """Wait until every streams worker knows so many films: each reads them by itself."""

        async def known() -> bool:
            found = await self.numbers()
            return all(value >= number for _, value in found.of("cinema_films"))

        await _until(known)

    async def numbers(self) -> Gauges:
        """Return all numbers of all workers."""
        return await gauges.read(self._session, [url for app in self._apps for url in app])

    async def _positions(self) -> Positions | None:
        """Return where each app stands in each topic; None if any worker is at work."""
        positions: Positions = {}
        for number, workers in enumerate(self._apps):
            found = await gauges.read(self._session, workers, POSITION, BUSY)
            if found.total(BUSY) or not found.of(POSITION):
                return None
            for labels, value in found.of(POSITION):
                place = number, labels["topic"]
                positions[place] = positions.get(place, 0) + value
        return positions

    def _reached(self, positions: Positions) -> bool:
        """Tell whether all have come to the topics' ends, as far as the demo knows them."""
        return all(value >= self._ends(topic) for (_, topic), value in positions.items())

    def _ends(self, topic: str) -> int:
        return max(self._sent.get(topic, 0), self._tail.ends_of[topic])


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = monotonic() + LIMIT
    while monotonic() < deadline:
        # One that is being started again does not answer.
        with suppress(aiohttp.ClientError):
            if await holds():
                return
        await asyncio.sleep(POLL)
    raise NotReady(f"the workers have not come to rest in {LIMIT:.0f} s: see their logs")
