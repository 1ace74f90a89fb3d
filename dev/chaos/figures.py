"""How long people waited: take-over times and the longest gap in the delivery of urgent mails."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from statistics import median
from time import time
from typing import Final

import aiohttp
import msgspec

from dev.chaos.accidents import Accident
from dev.chaos.maillog import Line
from dev.cinema import gauges
from streams.errors import CinemaError

LOOK: Final = 0.5
CLOCK: Final = "cinema_clock"
# Marks of letters and greetings: mails that somebody waits for.
URGENT: Final = frozenset("lp")
# A kill is one with a survivor when the other worker of the app had been left alone for so long.
SETTLED: Final = 10.0


class Owners:
    """Which partitions each streams worker had when, asked twice a second."""

    def __init__(self, workers: Sequence[str], http: aiohttp.ClientSession) -> None:
        self._workers = workers
        self._http = http
        self._seen: defaultdict[int, list[tuple[float, frozenset[int]]]] = defaultdict(list)

    async def watch(self) -> None:
        """Look until cancelled; a worker that does not answer is left as it was."""
        while True:
            await asyncio.gather(*(self._look(*one) for one in enumerate(self._workers)))
            await asyncio.sleep(LOOK)

    async def _look(self, number: int, url: str) -> None:
        with suppress(aiohttp.ClientError, TimeoutError, OSError, CinemaError):
            found = await gauges.read(self._http, [url], CLOCK)
            mine = frozenset(int(labels["partition"]) for labels, _ in found.of(CLOCK))
            self._seen[number].append((time(), mine))

    def at(self, number: int, moment: float) -> frozenset[int]:
        """Return the partitions that a worker was last seen to have before a moment."""
        before = [mine for seen, mine in self._seen[number] if seen <= moment and mine]
        return before[-1] if before else frozenset()


class TakeOver(msgspec.Struct, frozen=True):
    """From a kill to the first output of each partition that moved, in seconds.

    `alone`: the other worker was left in peace before, and the broker and Redis meanwhile.
    """

    at: float
    partitions: int
    seconds: float
    alone: bool


def take_overs(
    accidents: Iterable[Accident], owners: Owners, outputs: dict[int, list[float]]
) -> list[TakeOver]:
    """Return one for each kill of a streams worker that had partitions.

    `outputs` has the times of records on `outbox_urgent` by partition, rising.
    """
    found = []
    all_accidents = list(accidents)
    for kill in all_accidents:
        number = kill.who[1]
        if kill.what != "kill" or kill.app != "streams" or number is None:
            continue
        mine = owners.at(number, kill.at)
        firsts = [_first(outputs.get(partition, []), kill.at) for partition in mine]
        known = [first for first in firsts if first is not None]
        if known:
            alone = not any(
                other is not kill
                and other.app in ("streams", "broker")
                and other.at < max(known)
                and other.until > kill.at - SETTLED
                for other in all_accidents
            )
            found.append(TakeOver(kill.at, len(mine), max(known) - kill.at, alone))
    return found


def _first(times: Sequence[float], after: float) -> float | None:
    index = bisect_left(times, after)
    return times[index] if index < len(times) else None


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return number, median and maximum, in seconds."""
    return {
        "number": len(values),
        "p50": round(median(values), 2) if values else None,
        "max": round(max(values), 2) if values else None,
    }


def longest_gap(mails: Iterable[Line], begin: float, end: float) -> float:
    """Return the longest time in which no urgent mail was taken, in seconds."""
    times = sorted(
        line.at
        for line in mails
        if line.what == "taken" and begin <= line.at <= end and URGENT & {m[2] for m in line.marks}
    )
    edges = [begin, *times, end]
    return max(later - earlier for earlier, later in pairwise(edges))
