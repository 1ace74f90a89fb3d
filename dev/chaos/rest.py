"""Waits until the service has done all there is to do, as far as anybody can see from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

import aiohttp
from aiokafka.errors import KafkaError

from dev.cinema import gauges
from dev.cinema.gauges import Gauges
from dev.cinema.tail import Tail
from dev.stack import Addresses
from streams.errors import BrokerUnavailable
from streams.progress import POSITION
from streams.topics import CLOCK

PAUSE: Final = 0.5
# The clock ticks on; where it stands is no work.
ENDLESS: Final = frozenset({CLOCK.name})
# What rests and comes by itself, and what is under way.
OPEN: Final = ("cinema_deferred", "cinema_walks_open", "cinema_films_lag")
QUIET: Final = 2

#: What is left to do: a topic or a gauge, and where it stands.
Left = dict[str, object]


class Rest:
    """Looks at all workers' positions and at the topics' ends."""

    def __init__(self, addresses: Addresses, http: aiohttp.ClientSession, tail: Tail) -> None:
        self._apps = (addresses.streams, addresses.sender)
        self._http = http
        self._tail = tail
        self.numbers = Gauges(())

    async def drained(self, limit: float, tell: Callable[[Left], None]) -> Left:
        """Wait for two quiet readings; return what is left after `limit` seconds, else nothing."""
        deadline, quiet = monotonic() + limit, 0
        left: Left = {"workers": "not asked yet"}
        before: dict[str, int] = {}
        while monotonic() < deadline:
            with suppress(
                aiohttp.ClientError, TimeoutError, OSError, KafkaError, BrokerUnavailable
            ):
                left, ends = await self._look()
                quiet = quiet + 1 if not left and ends == before else int(not left)
                before = ends
                if quiet >= QUIET:
                    return {}
            tell(left)
            await asyncio.sleep(PAUSE)
        return left or {"topics": "new records again and again"}

    async def _look(self) -> tuple[Left, dict[str, int]]:
        await self._tail.read()
        ends = {topic: end for topic, end in self._tail.ends_of.items() if topic not in ENDLESS}
        left: Left = {}
        pages = []
        for workers in self._apps:
            found = await gauges.read(self._http, workers)
            pages.append(found)
            topics = {labels["topic"] for labels, _ in found.of(POSITION)} - ENDLESS
            if not topics:
                left["topics"] = "a worker has none"
            for topic in topics:
                position = int(found.total(POSITION, topic=topic))
                if position != ends.get(topic, 0):
                    left[topic] = f"{position} of {ends.get(topic, 0)}"
            for name in OPEN:
                if number := found.total(name):
                    left[name] = int(number)
        self.numbers = pages[0] + pages[1]
        return left, ends
