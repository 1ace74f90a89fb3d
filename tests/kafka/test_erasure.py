"""What is left of someone who was erased, in the bytes of the log itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from dev.logs import read_topic
from streams.partitions import partition_of
from tests.conftest import eventually
from tests.kafka.streaming import PARTITIONS, Worker, person, running, send

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

CHANGELOG = "cinema-streams-state-changelog"
TOPICS = ("users", "registration", "watch_history", "bookmarks", "monthly_statistic", "held")
# As fast as compaction goes; and the broker, which looks every 15 s.
HASTY = {
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "1000",
}


@pytest.fixture
def worker(own_kafka: str, redis_url: str, tmp_path: Path) -> Worker:
    """Give a worker that has not been started."""
    return Worker(own_kafka, f"{redis_url.rpartition('/')[0]}/10", tmp_path)


def compact_hastily(broker: str) -> None:
    """Set the changelog, and the broker's cleaner, to compact at once."""
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    for kind, name, config in (
        (ConfigResource.Type.TOPIC, CHANGELOG, HASTY),
        (ConfigResource.Type.BROKER, "1", {"log.cleaner.backoff.ms": "500"}),
    ):
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(10)


async def left(broker: str, needles: list[bytes]) -> set[bytes]:
    """Return which of these stand anywhere in the raw changelog."""
    records = await read_topic(broker, CHANGELOG)
    return {
        needle
        for needle in needles
        for record in records
        if needle in record.key or needle in (record.value or b"")
    }


async def test_nothing_personal_is_left_in_the_changelog_once_it_is_compacted(
    worker: Worker,
) -> None:
    user, neighbour = person(), person()
    while partition_of(neighbour, PARTITIONS) != partition_of(user, PARTITIONS):
        neighbour = person()
    words = ("address", "name", "film", "series", "event")
    needles = [f"{word}-of-{user}".encode() for word in words]
    address, name, film, series, event = (needle.decode() for needle in needles)
    watch = {"film_id": "f", "seconds": 60, "at": "2026-10-10T12:00:00Z"}
    async with running(worker) as producer:
        await tick(producer, "2026-11-20T23:00:00Z")
        await worker.at_rest("clock")
        known = {"user_id": user, "email": f"{address}@example.com", "username": name}
        mark = {"user_id": user, "series_id": series, "added": True}
        mine = {"user_id": user, "film_id": film, "event_id": event}
        await send(producer, "registration", user, known | {"event": "send_greeting"})
        await send(producer, "users", user, known)
        await send(producer, "bookmarks", user, mark)
        await send(producer, "watch_history", user, watch | mine)
        await send(producer, "watch_history", neighbour, watch | {"user_id": neighbour})
        await worker.at_rest(*TOPICS)
        # At night it rests until the morning, with name and address, in a table.
        trigger = {"event": "send_statistic", "users": [user]}
        await send(producer, "monthly_statistic", user, trigger)
        found = await worker.at_rest(*TOPICS)
        assert found.total("cinema_deferred") == 1
        assert await left(worker.broker, needles) == set(needles)

        await producer.send_and_wait(
            "users", None, user.encode(), partition=partition_of(user, PARTITIONS)
        )
        await worker.at_rest(*TOPICS)
        compact_hastily(worker.broker)
        sent = 1

        async def compacted() -> bool:
            nonlocal sent
            # A segment ends when something comes after its time.
            await send(producer, "watch_history", neighbour, watch | {"user_id": neighbour})
            sent += 1
            return not await left(worker.broker, needles)

        await eventually(compacted, 60, 0.5)
        await worker.kill()
        await worker.start()
        await worker.until_ready()
        await worker.at_rest(*TOPICS)
        month = "2026-10"
        assert (await worker.month(user, month))["films"] == 0
        assert (await worker.month(neighbour, month))["seconds"] == 60 * sent
    assert await left(worker.broker, [f"erased:{user}".encode()])


async def tick(producer: AIOKafkaProducer, at: str) -> None:
    """Tell every partition the time."""
    for number in range(PARTITIONS):
        value = msgspec.json.encode({"at": at})
        await producer.send_and_wait("clock", value, partition=number)
