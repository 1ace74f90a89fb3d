"""The agent that is measured, and what a worker that runs it prints when it is through."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import faust
import msgspec
from faust.transport.drivers import aiokafka as driver

from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, person_agent
from streams.events import Activity
from streams.settings import Settings
from tables.partition import Tables
from tables.person import UserRow

# Committing follows processing by half a second; a benchmark of what is not committed is none.
COMMIT_LIMIT: Final = 5.0


class Options(msgspec.Struct, frozen=True):
    """What to run, on which broker (as CINEMA_BROKER), and for how many records."""

    mode: str
    broker: str
    group: str
    count: int
    port: int
    folder: str


@person_agent(topics.ACTIVITY)
def mark_and_tell(
    event: Activity, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Write the person's row and make one job: the smallest agent that does both."""
    tables.users[user.user_id] = msgspec.structs.replace(user, greeted=True)
    context: dict[str, Any] = {"body": event.body}
    yield from notify(user, kinds.ACTIVITY, f"activity\x1f{arrival.identity}", context, arrival)


def settings(options: Options) -> Settings:
    """Return the settings of a worker that is measured."""
    return Settings.from_env(
        {
            "CINEMA_BROKER": options.broker,
            "CINEMA_JWT_SECRET": "x" * 32,
            "CINEMA_LINK_SECRET": "x" * 32,
            "CINEMA_API_KEYS": "x" * 32,
            "CINEMA_DATA_DIR": options.folder,
            "CINEMA_STREAMS_PORT": str(options.port),
        }
    )


class Stopwatch:
    """Runs from the fetch that brings the first records; prints when all are committed, and ends.

    Not from the first record that an agent sees: by then Faust's consumer has thousands in hand.
    """

    def __init__(self, app: faust.App, count: int) -> None:
        self._app = app
        self._count = count
        self._done = 0
        self._started = self._used = 0.0
        self._running = False
        self._watch()

    def _watch(self) -> None:
        thread: Any = driver.AIOKafkaConsumerThread
        fetch = thread._fetch_records

        async def watched(consumer: Any, *args: Any, **options: Any) -> Any:
            if not self._running:
                self._started, self._used = time.monotonic(), time.process_time()
            fetched = await fetch(consumer, *args, **options)
            self._running = self._running or bool(fetched)
            return fetched

        thread._fetch_records = watched

    def add(self, number: int) -> None:
        """Count records that have been processed."""
        self._done += number
        if self._done - number < self._count <= self._done:
            used = time.process_time() - self._used
            seconds = time.monotonic() - self._started
            found = {"events": self._done, "seconds": seconds, "cpu": used}
            asyncio.get_running_loop().create_task(self._end(found))

    async def _end(self, found: dict[str, float]) -> None:
        deadline = time.monotonic() + COMMIT_LIMIT
        # Faust tells nobody that it has committed.
        while self._committed() < self._count and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        line = msgspec.json.encode(found | {"committed": self._committed()})
        os.write(sys.stdout.fileno(), line + b"\n")
        # A stop in good order takes seconds, and there is nothing left to lose.
        os._exit(0)

    def _committed(self) -> int:
        consumer: Any = self._app.consumer
        offsets = consumer._committed_offset
        return sum(offset or 0 for tp, offset in offsets.items() if "changelog" not in tp.topic)


def work(app: faust.App) -> None:
    """Run the worker of an app, as `faust -L uvloop worker` does."""
    app.finalize()
    app.worker_init()
    app.worker_init_post_autodiscover()
    faust.Worker(app, loglevel="WARNING", quiet=True).execute_from_commandline()
