"""What happens to the processes: kills, stops and outages, thrown by seeded dice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from time import time
from typing import Any, Final, Literal

import msgspec

from dev.workers import APPS

What = Literal["kill", "stop", "end", "death", "outage", "restart"]
# Seconds between two blows. A killed worker is noticed after its session (6 s): blows that come
# faster than partitions can move would show nothing but standstill.
PAUSE: Final = (2.0, 9.0)
# Of a hundred blows: two workers at once, one that stands still for a while; else one is killed.
TWO: Final = 10
STOPS: Final = 25
STOPPED: Final = (1.0, 12.0)
# An outage of Kafka or Redis begins so long after the one before has ended.
CALM: Final = (18.0, 28.0)
OUTAGE: Final = 10.0
# Taken away by turns, so that a short run has both.
SERVICES: Final = ("broker", "redis")
WAYS: Final[tuple[Literal["outage", "restart"], ...]] = ("outage", "restart")
WATCH: Final = 0.05

#: Which process: app and number, or a service and None.
Who = tuple[str, int | None]


class Accident(msgspec.Struct, frozen=True):
    """What happened to whom, from when to when (epoch seconds)."""

    what: What
    who: Who
    pid: int
    at: float
    until: float

    @property
    def app(self) -> str:
        """The app or service."""
        return self.who[0]


class Accidents:
    """Strikes the processes of a stack by their ids, which its folder knows."""

    def __init__(self, data: Path, seed: int) -> None:
        self.past: list[Accident] = []
        self._pids = data / "pids.json"
        self._dice = Random(f"accidents {seed}")
        self._stopped: set[int] = set()
        self._struck: set[int] = set()
        self._now: dict[Who, int] = dict(self._workers())

    def count(self, what: What, app: str | None = None) -> int:
        """Return how many accidents of a kind there were."""
        return sum(1 for one in self.past if one.what == what and app in (None, one.app))

    async def strike(self) -> None:
        """Strike workers again and again until cancelled; who was stopped goes on then."""
        try:
            async with asyncio.TaskGroup() as stops:
                while True:
                    await asyncio.sleep(self._dice.uniform(*PAUSE))
                    number = self._dice.random() * 100
                    if number < STOPS and not self._stopped:
                        who, seconds = self._dice.choice(self._all()), self._dice.uniform(*STOPPED)
                        stops.create_task(self._stop(who, seconds))
                        continue
                    count = 2 if number > 100 - TWO else 1
                    for who in self._dice.sample(self._all(), count):
                        self.kill(who)
        finally:
            for pid in self._stopped:
                _signal(pid, signal.SIGCONT)

    async def outages(self) -> None:
        """Take Kafka and Redis away again and again until cancelled."""
        left: list[tuple[str, str]] = []
        while True:
            await asyncio.sleep(self._dice.uniform(*CALM))
            if not left:
                services = self._dice.sample(SERVICES, len(SERVICES))
                ways = self._dice.sample(WAYS, len(WAYS))
                left = [(service, way) for way in ways for service in services]
            service, what = left.pop(0)
            if what == "outage":
                await self._stop((service, None), OUTAGE)
            else:
                pid = self._pid((service, None))
                _signal(pid, signal.SIGKILL)
                at = time()
                while self._pid((service, None)) == pid:  # noqa: ASYNC110 - a file tells
                    await asyncio.sleep(WATCH)
                self.past.append(Accident("restart", (service, None), pid, at, time()))

    async def watch(self) -> None:
        """Note workers that end without a blow of ours, until cancelled."""
        while True:
            await asyncio.sleep(WATCH)
            for who, pid in self._workers():
                old = self._now.get(who)
                if old is not None and old != pid and old not in self._struck:
                    self.past.append(Accident("death", who, old, time(), time()))
                self._now[who] = pid

    def kill(self, who: Who) -> None:
        """Kill a worker with -9, if it lives."""
        pid = self._pid(who)
        if pid not in self._struck and _signal(pid, signal.SIGKILL):
            self._struck.add(pid)
            self.past.append(Accident("kill", who, pid, time(), time()))

    async def end(self, who: Who, limit: float) -> None:
        """Ask a worker to end (SIGTERM); return when its successor has been started.

        Raises TimeoutError after `limit` seconds.
        """
        pid, at = self._pid(who), time()
        self._struck.add(pid)
        _signal(pid, signal.SIGTERM)
        async with asyncio.timeout(limit):
            while _lives(pid):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(WATCH)
            self.past.append(Accident("end", who, pid, at, time()))
            while self._pid(who) == pid:  # noqa: ASYNC110 - a file tells
                await asyncio.sleep(WATCH)

    async def _stop(self, who: Who, seconds: float) -> None:
        pid, at = self._pid(who), time()
        if pid in self._struck or not _signal(pid, signal.SIGSTOP):
            return
        self._stopped.add(pid)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(pid, signal.SIGCONT)
            self._stopped.discard(pid)
            what: What = "stop" if who[0] in APPS else "outage"
            self.past.append(Accident(what, who, pid, at, time()))

    def _all(self) -> list[Who]:
        return [who for who, _ in self._workers()]

    def _workers(self) -> Iterator[tuple[Who, int]]:
        pids = self._read()
        for app in APPS:
            for number, pid in enumerate(pids[app]):
                yield (app, number), pid

    def _pid(self, who: Who) -> int:
        found = self._read()[who[0]]
        return int(found if who[1] is None else found[who[1]])

    def _read(self) -> dict[str, Any]:
        pids: dict[str, Any] = msgspec.json.decode(self._pids.read_bytes())
        return pids


def _signal(pid: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _lives(pid: int) -> bool:
    return _signal(pid, 0)
