"""Partitions that move under load: no event meets tables that are not complete."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from dev.logs import read_topic
from streams.partitions import partition_of
from tests.conftest import eventually
from tests.integration.cinema import OUTCOMES
from tests.kafka.streaming import PARTITIONS, Worker, person, send

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.asyncio(loop_scope="session"),
    # Workers start five times in all.
    pytest.mark.timeout(240),
]

PEOPLE = 120
TOPICS = ("registration", "watch_history")


class Load:
    """People who register again and again and watch: what is decided depends on what is known."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._ended = asyncio.Event()
        self.people = [person() for _ in range(PEOPLE)]
        self.sent: Counter[str] = Counter()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._ended.is_set():
            for user in self.people:
                address = f"{user}@example.com"
                greeting = {"event": "send_greeting", "user_id": user, "email": address}
                await send(self._producer, "registration", user, greeting | {"username": "R"})
                watch = {"user_id": user, "film_id": "f", "seconds": 1}
                at = {"at": "2026-11-10T12:00:00Z"}
                await send(self._producer, "watch_history", user, watch | at)
                self.sent[user] += 1
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """End after the round."""
        self._ended.set()
        await self._task

    def cancel(self) -> None:
        """End at once: the test has failed."""
        self._task.cancel()


async def records(workers: list[Worker]) -> Counter[str]:
    """Return the records that the workers' partitions have processed, by topic."""
    found = [await worker.gauges() for worker in workers]
    return Counter(
        {
            topic: sum(
                int(one.total("cinema_records", topic=topic, outcome=outcome))
                for one in found
                for outcome in OUTCOMES
            )
            for topic in TOPICS
        }
    )


@pytest.mark.parametrize("standbys", [0, 1])
async def test_tables_are_complete_before_the_first_event_of_a_partition_that_moved(
    kafka_broker: str, redis_url: str, tmp_path: Path, standbys: int
) -> None:
    redis = f"{redis_url.rpartition('/')[0]}/3"
    workers = [
        Worker(kafka_broker, redis, tmp_path / name, STANDBY_REPLICAS=standbys)
        for name in ("one", "two")
    ]
    one, two = workers
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker, acks="all")
    await producer.start()
    await one.start()
    await one.until_ready()
    before = await records([one])
    load = Load(producer)
    try:
        await asyncio.sleep(3)
        await two.start()
        await all_ready(workers)
        await asyncio.sleep(3)
        # Stopped in order, killed, and back again.
        await end(one, signal.SIGTERM)
        await two.until_ready()
        await asyncio.sleep(1)
        await one.start()
        await all_ready(workers)
        await asyncio.sleep(3)
        await end(two, signal.SIGKILL)
        await asyncio.sleep(8)
        await two.start()
        await all_ready(workers)
        await load.end()
        total = sum(load.sent.values())

        async def counted() -> bool:
            return all(number >= total for number in (await records(workers) - before).values())

        await eventually(counted, 60, 0.3)
        assert await records(workers) - before == dict.fromkeys(TOPICS, total)
        months = {user: (await one.month(user))["seconds"] for user in load.people}
    finally:
        load.cancel()
        for worker in workers:
            await worker.kill()
        await producer.stop()
    assert months == dict(load.sent)
    welcomes = await ids(kafka_broker, "outbox_urgent")
    skips = await ids(kafka_broker, "deliveries")
    assert {user: len(welcomes[user]) for user in load.people} == dict.fromkeys(load.people, 1)
    # Every other registration met a person who is known.
    assert {user: len(skips[user]) + 1 for user in load.people} == dict(load.sent)
    assert len({partition_of(user, PARTITIONS) for user in load.people}) == PARTITIONS


async def all_ready(workers: list[Worker]) -> None:
    """Wait until the workers are ready, and still are when they have met."""
    for _ in range(2):
        for worker in workers:
            await worker.until_ready()


async def end(worker: Worker, number: signal.Signals) -> None:
    """End a worker and wait until it has."""
    assert worker.process is not None
    worker.process.send_signal(number)
    await asyncio.wait_for(worker.process.wait(), 20)


async def ids(broker: str, topic: str) -> defaultdict[str, set[str]]:
    """Return the job ids on a topic by person."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in await read_topic(broker, topic):
        value = msgspec.json.decode(record.value or b"")
        if "job_id" in value:
            found[value["user_id"]].add(value["job_id"])
    return found
