"""A streams worker of a test's own on Apache Kafka, and what tests send it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer

from dev.logs import end_offsets
from streams.outgoing import EXIT_UNACKNOWLEDGED
from streams.partitions import partition_of
from tests import worker
from tests.conftest import eventually
from tests.integration.cinema import Gauges

PARTITIONS = 4


class Worker(worker.Worker):
    """A streams worker on topic time, started again whenever it is wanted."""

    def __init__(
        self, broker: str, redis: str, data: Path, app: str = "streams.app", **settings: object
    ) -> None:
        super().__init__(
            app,
            data,
            BROKER=f"kafka://{broker}",
            REDIS=redis,
            PARTITIONS=PARTITIONS,
            CLOCK="topic",
            **settings,
        )
        self.broker = broker
        self.redis = redis

    async def ready_again(self) -> bool:
        """Tell whether it is ready; started again, as by a supervisor, where it ended itself."""
        if self.process is not None and self.process.returncode == EXIT_UNACKNOWLEDGED:
            await self.start()
        return await self.ready()

    async def month(self, user_id: str, month: str = "2026-11") -> Any:
        """Return someone's month."""
        page = f"{self.url}/users/{user_id}/statistics?month={month}"
        headers = {"Authorization": "Bearer " + "k" * 32}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(page) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def at_rest(self, *topics: str) -> Gauges:
        """Wait until all records of the topics are processed; return the numbers then."""
        return await at_rest([self], *topics)


async def at_rest(workers: Sequence[Worker], *topics: str) -> Gauges:
    """Wait until those workers together have processed all records; return their numbers then."""
    found = Gauges()

    async def rests() -> bool:
        nonlocal found
        ends = await end_offsets(workers[0].broker, *topics)
        found = sum([await worker.gauges() for worker in workers], Gauges())
        wanted: Counter[str] = Counter()
        for tp, end in ends.items():
            wanted[tp.topic] += end
        return (
            all(found.total("cinema_position", topic=one) >= wanted[one] for one in topics)
            and bool(found.values("cinema_position", "topic"))
            and found.total("cinema_busy") == 0
            and found.total("cinema_walks_open") == 0
        )

    await eventually(rests, 90, 0.2)
    return found


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[AIOKafkaProducer]:
    """Run a worker, and give a producer beside it."""
    await worker.start()
    producer = AIOKafkaProducer(
        bootstrap_servers=worker.broker, acks="all", max_request_size=4 << 20
    )
    try:
        await worker.until_ready()
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()
    finally:
        await worker.kill()


async def send(producer: AIOKafkaProducer, topic: str, key: str, value: Any) -> None:
    data = value if isinstance(value, bytes) else msgspec.json.encode(value)
    await producer.send_and_wait(topic, data, key.encode(), partition=partition_of(key, PARTITIONS))


def person() -> str:
    return f"person-{uuid4().hex[:8]}"
