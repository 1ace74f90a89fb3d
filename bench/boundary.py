"""CPU time of an event through the boundary, beside raw aiokafka and beside plain Faust.

Each loop is a process of its own that reads the same topic of eight partitions, already filled;
rounds take turns. On Apache Kafka where it can be had, else on the embedded broker.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaProducer

from bench import servers
from bench.agents import Options, settings
from bench.figures import Figure, of_rounds
from bench.processes import measured
from dev.embedded import EAGER_WAIT
from dev.errors import StackError
from dev.ports import free_port
from dev.services import KAFKA
from streams import topics
from streams.declaring import bootstrap, declare
from streams.partitions import partition_of
from streams.settings import Settings
from streams.topics import Topic

ROUNDS: Final = 3
# All that lie on the topic: of batches in flight at the end nothing would be counted.
EVENTS: Final = 40_000
REGISTRATIONS: Final = 20_000
# Plain Faust takes ten times as long for each; it has one in flight.
FAUST_EVENTS: Final = 5_000
# People are met again, as in a cinema: rows are written more than once.
PEOPLE: Final = 10_000
# Faust fixes it for its consumers, so the raw ones have it too.
FETCH_WAIT_MS: Final = 1500

#: Name of a loop → the module that runs it, its mode, its number of events and of rounds.
LOOPS: Final = {
    "raw consume": ("bench.loops", "consume", EVENTS, ROUNDS),
    "raw poll and decode": ("bench.loops", "poll", EVENTS, ROUNDS),
    "trivial": ("bench.boundary_worker", "trivial", EVENTS, ROUNDS),
    "raw consume and produce": ("bench.loops", "produce", EVENTS, ROUNDS),
    "raw poll and batches": ("bench.loops", "batches", EVENTS, ROUNDS),
    "full": ("bench.boundary_worker", "full", EVENTS, ROUNDS),
    # Ten times off: one round tells it.
    "registration": ("bench.boundary_worker", "registration", REGISTRATIONS, 1),
    "Faust's own, trivial": ("bench.faust_worker", "trivial", FAUST_EVENTS, 1),
    "Faust's own, full": ("bench.faust_worker", "full", FAUST_EVENTS, 1),
}
#: What each is measured against: the usual loop, and the fastest there is.
LIMITS: Final = {
    "trivial": ("raw consume", "raw poll and decode"),
    "full": ("raw consume and produce", "raw poll and batches"),
    "registration": ("raw consume and produce",),
    "Faust's own, trivial": ("trivial",),
    "Faust's own, full": ("full",),
}


def run() -> Iterator[Figure]:
    """Measure, and yield CPU per event and events a second."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    kind = (await servers.brokers("boundary"))[0]
    taken: dict[str, list[dict[str, float]]] = defaultdict(list)
    async with servers.broker(kind) as url:
        await _fill(url)
        for number in range(ROUNDS):
            for name, (*_, rounds) in LOOPS.items():
                if number < rounds:
                    taken[name].append(await _loop(name, url))
    return _figures(kind, taken)


def _figures(kind: str, taken: dict[str, list[dict[str, float]]]) -> list[Figure]:
    micros = {name: [1e6 * one["cpu"] / one["events"] for one in taken[name]] for name in taken}
    rates = {name: [one["events"] / one["seconds"] for one in taken[name]] for name in taken}
    found = []
    for name in LOOPS:
        for what, unit, values in (("CPU an event", "us", micros), ("events", "1/s", rates)):
            label = f"{name}, {what}, 8 partitions on {kind}"
            if name not in LIMITS:
                found.append(of_rounds(label, unit, values[name]))
            found += [
                of_rounds(label, unit, values[name], values[limit], limit)
                for limit in LIMITS.get(name, ())
            ]
    return found


async def _loop(name: str, url: str) -> dict[str, Any]:
    module, mode, count, _ = LOOPS[name]
    group = f"bench-{uuid4().hex[:8]}"
    if module == "bench.loops":
        return await measured(
            module,
            loop=mode,
            bootstrap=url.partition("://")[2],
            group=group,
            topic=topics.ACTIVITY.name,
            outbox=topics.OUTBOX_URGENT.name,
            count=count,
            fetch_wait_ms=FETCH_WAIT_MS if url.startswith(KAFKA) else EAGER_WAIT,
        )
    with TemporaryDirectory(prefix="bench-") as folder:
        found = await measured(
            module,
            mode=mode,
            broker=url,
            group=group,
            count=count,
            port=free_port(),
            folder=folder,
        )
    # Plain Faust does not always come to it.
    if module == "bench.boundary_worker" and found["committed"] < count:
        raise StackError(f"{name}: {found['committed']:.0f} of {count} events were committed")
    return found


async def _fill(url: str) -> None:
    """Declare the topics and put the events in, each in the partition that its person lives in."""
    options = Options("", url, "", 0, 1, "data")
    cinema = replace(settings(options), partitions=Settings().partitions)
    await declare(cinema, "bench")
    events = [
        {"user_id": f"user-{number % PEOPLE}", "body": "Bob has answered your review of Metropolis"}
        for number in range(EVENTS)
    ]
    await _send(cinema, topics.ACTIVITY, events)
    people = [
        {
            "event": "send_greeting",
            "user_id": f"new-{number}",
            "email": f"new-{number}@example.com",
            "username": "Ann",
            "timezone": "Europe/Berlin",
            "redirect_url": "https://cinema.example/welcome",
        }
        for number in range(REGISTRATIONS)
    ]
    await _send(cinema, topics.REGISTRATION, people)


async def _send(cinema: Settings, topic: Topic, events: list[dict[str, str]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap(cinema), acks="all")
    await producer.start()
    try:
        sent = []
        for event in events:
            partition = partition_of(event["user_id"], cinema.partitions)
            key, value = event["user_id"].encode(), msgspec.json.encode(event)
            sent.append(await producer.send(topic.name, value, key, partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
