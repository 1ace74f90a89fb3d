"""Kafka away under load: workers wait for it, and nothing is lost, repeated or out of order."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from dev import services
from dev.logs import read_topic
from dev.services import KAFKA, Service
from streams.outgoing import ACKNOWLEDGED_WITHIN, EXIT_UNACKNOWLEDGED
from tests.conftest import eventually
from tests.conftest import running as serving
from tests.integration.cinema import OUTCOMES
from tests.kafka.streaming import Worker, person, send

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.asyncio(loop_scope="session"),
    # Outages last, and Kafka starts twice.
    pytest.mark.timeout(300),
]

# The issue's: a broker away for so long is waited for.
AWAY = 10.0
PEOPLE = 40
TOPICS = ("activity", "watch_history")


@pytest_asyncio.fixture(loop_scope="session")
async def broker(tmp_path: Path) -> AsyncIterator[Service]:
    """Give a Kafka of its own, which may be stopped."""
    async with serving(await services.broker(KAFKA, tmp_path / "kafka")) as service:
        yield service


class Load:
    """Events of some people, one after the other for each, until it is told to end."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._ended = asyncio.Event()
        self.people = [person() for _ in range(PEOPLE)]
        self.sent: defaultdict[str, int] = defaultdict(int)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let all of them live at once."""
        self._tasks = [asyncio.create_task(self._live(one)) for one in self.people]

    async def _live(self, user: str) -> None:
        while not self._ended.is_set():
            await send(self._producer, "activity", user, {"user_id": user, "body": "b"})
            watch = {"user_id": user, "film_id": "f", "seconds": 1, "at": "2026-11-10T12:00:00Z"}
            await send(self._producer, "watch_history", user, watch)
            self.sent[user] += 1
            await asyncio.sleep(random.uniform(0.05, 0.15))

    async def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self._ended.set()
        await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        """Send no more at once: the test has failed."""
        for task in self._tasks:
            task.cancel()


async def assert_all_is_there(workers: list[Worker], load: Load) -> None:
    """Hold what the workers made of the load against what was sent."""
    broker = workers[0].broker
    total = sum(load.sent.values())

    async def counted() -> bool:
        found = [await worker.gauges() for worker in workers]
        return all(
            sum(
                one.total("cinema_records", topic=topic, outcome=outcome)
                for one in found
                for outcome in OUTCOMES
            )
            >= total
            for topic in TOPICS
        )

    await eventually(counted, 90, 0.5)
    months = {user: (await workers[0].month(user))["seconds"] for user in load.people}
    assert months == dict(load.sent)
    order: defaultdict[str, list[int]] = defaultdict(list)
    known: set[str] = set()
    for record in await read_topic(broker, "outbox_urgent"):
        job = msgspec.json.decode(record.value or b"")
        if job["job_id"] not in known:
            known.add(job["job_id"])
            order[job["user_id"]].append(job["cause"]["offset"])
    assert {user: len(order[user]) for user in load.people} == dict(load.sent)
    assert all(offsets == sorted(offsets) for offsets in order.values())


@pytest.mark.parametrize("outage", ["stopped", "killed"])
async def test_a_broker_away_for_ten_seconds_is_waited_for_and_no_worker_ends(
    broker: Service, redis_url: str, tmp_path: Path, outage: str
) -> None:
    redis = f"{redis_url.rpartition('/')[0]}/5"
    workers = [Worker(broker.address, redis, tmp_path / name) for name in ("one", "two")]
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.address, acks="all", enable_idempotence=True
    )
    await producer.start()
    for worker in workers:
        await worker.start()
    load = Load(producer)
    try:
        for worker in workers:
            await worker.until_ready()
        load.start()
        await asyncio.sleep(3)
        began = monotonic()
        if outage == "stopped":
            broker.child.signal(signal.SIGSTOP)
            await asyncio.sleep(AWAY)
            broker.child.signal(signal.SIGCONT)
        else:
            broker.child.signal(signal.SIGKILL)
            await broker.child.wait()
            await broker.child.start()
        await eventually(broker.ready, 90, 0.1)
        away = monotonic() - began
        if away > ACKNOWLEDGED_WITHIN - 2:
            pytest.skip(f"this machine took {away:.0f} s to start Kafka again")
        for worker in workers:
            await worker.until_ready()
        back = monotonic() - began - away
        print(f"\n{outage}: Kafka away for {away:.1f} s, workers ready {back:.1f} s after it")
        await asyncio.sleep(5)
        await load.end()
        await assert_all_is_there(workers, load)
        assert [worker.process and worker.process.returncode for worker in workers] == [None, None]
    finally:
        for worker in workers:
            await worker.kill()
        load.cancel()
        await producer.stop()


async def test_a_broker_away_for_longer_ends_the_worker_which_goes_on_after_its_start(
    broker: Service, redis_url: str, tmp_path: Path
) -> None:
    redis = f"{redis_url.rpartition('/')[0]}/5"
    worker = Worker(broker.address, redis, tmp_path)
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.address,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=180_000,
    )
    await producer.start()
    await worker.start()
    load = Load(producer)
    try:
        await worker.until_ready()
        load.start()
        await asyncio.sleep(3)
        broker.child.signal(signal.SIGSTOP)
        began = monotonic()
        assert worker.process is not None
        status = await asyncio.wait_for(worker.process.wait(), 2 * ACKNOWLEDGED_WITHIN)
        away = monotonic() - began
        print(f"\nended after {away:.1f} s")
        assert status == EXIT_UNACKNOWLEDGED
        assert away > ACKNOWLEDGED_WITHIN - 1
        broker.child.signal(signal.SIGCONT)
        await worker.start()
        await worker.until_ready()
        await load.end()
        await assert_all_is_there([worker], load)
    finally:
        await worker.kill()
        load.cancel()
        await producer.stop()
