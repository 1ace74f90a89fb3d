"""CPU time of a tick with nothing due, and of a campaign's firing, beside an ordinary event.

Decisions alone, in one process and without Kafka: what is sent is built and let go. A partition's
tables are recovered from rows as a worker recovers them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from gc import collect, freeze
from itertools import count
from statistics import median
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord
from faust.types.tuples import TP

from agents import AGENTS
from bench.figures import Figure, figure, of_rounds, say
from streams.deciding import Deciding
from streams.fields import zone_names
from streams.outgoing import Outgoing
from streams.records import Output
from streams.settings import Settings
from streams.topics import DECODERS
from streams.transport import MAX_BATCH, Batch
from tables.films import Films
from tables.partition import Tables
from tables.person import Profile, UserRow
from tables.zones import PROFILE

#: People parked in the partition; a tick's cost should not know them.
PARKED: Final = (1_000, 10_000, 100_000, 1_000_000)
TICKS: Final = 2_000
ROUNDS: Final = 5
# As many as a partition of a large cinema has in one zone.
DUE: Final = 20_000
FILMS: Final = 200
# A Monday noon: nothing of the built-in campaigns is near.
NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Void(Outgoing):
    """Lets go of what it is given: Kafka's part is measured elsewhere."""

    def __init__(self) -> None:
        super().__init__(None, 1)  # type: ignore[arg-type]

    async def send(self, outputs: Iterable[Output]) -> None:
        """Let the records go."""

    async def send_whole(self, *_: Any) -> int:
        """Let the rows go."""
        return 0


class Held:
    """One partition's tables, always at hand."""

    def __init__(self, tables: Tables) -> None:
        self.partitions_held = {0: tables}

    async def take(self, partition: int, outgoing: Outgoing) -> Tables:
        """Return the tables."""
        return self.partitions_held[partition]

    async def write(self, partition: int, tables: Tables, outgoing: Outgoing) -> None:
        """Encode the changes, as for Kafka."""
        await outgoing.send_whole("", partition, list(tables.changelog()))


class Partition:
    """A partition at work: records in, CPU time out."""

    def __init__(self, people: int, zones: Sequence[str]) -> None:
        settings = Settings(partitions=1, clock="topic")
        self.tables = Tables(films(), settings.default_timezone)
        for number in range(people):
            user = person(f"user-{number:07d}", zones[number % len(zones)])
            self.tables.users.rows[user.user_id] = user
        self.tables.users.rebuild()
        held: Any = Held(self.tables)
        self._deciding = Deciding(settings, AGENTS, held, Void(), lambda partition: 0)
        self._offsets = count()

    async def take(self, topic: str, values: Iterable[Any]) -> float:
        """Process records, and all that follows; return the seconds of CPU that took."""
        records = [self._record(topic, value) for value in values]
        started = time.process_time()
        for begin in range(0, len(records), MAX_BATCH):
            batch = records[begin : begin + MAX_BATCH]
            await self._deciding.process(Batch(TP(topic, 0), batch, None, 0, 0), batch)
        while await self._deciding.step(0):
            pass
        return time.process_time() - started

    async def ticks(self, start: datetime, number: int) -> float:
        """Let so many seconds pass, a batch each as in life; return the CPU of one in µs."""
        spent = 0.0
        for second in range(1, number + 1):
            spent += await self.take("clock", [at(start + timedelta(seconds=second))])
        return spent / number * 1e6

    def _record(self, topic: str, value: Any) -> ConsumerRecord:
        data = msgspec.json.encode(value)
        milliseconds = int(NOON.timestamp() * 1000)
        offset = next(self._offsets)
        return ConsumerRecord(topic, 0, offset, milliseconds, 0, None, data, None, 0, len(data), ())


def person(user_id: str, zone: str) -> UserRow:
    """Return someone as they are after a year: an address, a zone, and what was said."""
    return UserRow(
        user_id=user_id,
        profile=Profile(email=f"{user_id}@example.com", username=user_id, registered=True),
        known_since=NOON - timedelta(days=365),
        zones=((0.0, PROFILE, zone),),
    )


def films() -> Films:
    """Return a catalogue."""
    catalogue = Films()
    for number in range(FILMS):
        film = {"film_id": f"f{number}", "title": f"Film {number}", "rating": number % 10}
        catalogue.put(DECODERS["films"](msgspec.json.encode(film)), NOON.timestamp())
    return catalogue


def at(when: datetime) -> dict[str, str]:
    """Return a tick."""
    return {"at": when.isoformat()}


def run() -> Iterator[Figure]:
    """Measure, and yield CPU times."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    return [*await _parked(), *await _firings()]


async def _parked() -> list[Figure]:
    zones = sorted(zone_names())
    found = {}
    for people in PARKED:
        say(f"{people:,} people parked, nothing due")
        partition = Partition(people, zones)
        collect()
        freeze()
        await partition.ticks(NOON, 10)
        rounds = [
            await partition.ticks(NOON + timedelta(hours=number), TICKS // ROUNDS)
            for number in range(ROUNDS)
        ]
        found[people] = median(rounds)
    least = found[PARKED[0]]
    name = "time_tick_idle_{}_people_cpu"
    first, *others = PARKED
    return [
        figure(name.format(first), "us", least),
        *(
            of_rounds(name.format(people), "us", [found[people]], [least], name.format(first))
            for people in others
        ),
    ]


async def _firings() -> list[Figure]:
    say(f"a campaign for {DUE:,} people beside as many events")
    partition = Partition(DUE, ["Europe/Berlin"])
    await partition.take("clock", [at(NOON)])
    taken: dict[str, list[float]] = {"event": [], "activity": [], "tip": []}
    for number in range(ROUNDS):
        values = [{"user_id": user, "body": "hi"} for user in partition.tables.users.known]
        taken["event"].append(await partition.take("activity", values))
        for minute, kind in enumerate(("activity", "tip")):
            due = NOON + timedelta(hours=number + 1, minutes=minute)
            campaign = {"campaign_id": f"{kind}-{number}", "kind": kind, "at": due.isoformat()}
            await partition.take("campaigns", [campaign | {"context": {"body": "hi"}}])
            taken[kind].append(await partition.take("clock", [at(due)]))
    each = {name: [spent / DUE * 1e6 for spent in rounds] for name, rounds in taken.items()}
    event = "time_event_cpu"
    return [
        of_rounds(event, "us", each["event"]),
        of_rounds("time_firing_activity_cpu", "us", each["activity"], each["event"], event),
        of_rounds("time_firing_tip_cpu", "us", each["tip"], each["event"], event),
    ]
