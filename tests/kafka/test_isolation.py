"""One partition that waits for Kafka keeps no other waiting."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.partitions import partition_of
from tests.kafka.streaming import PARTITIONS, Worker, person, running
from tests.kafka.stuck_app import STUCK, STUCK_SECONDS

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

# Half of the other partitions' events take less, and none as long as the stuck one's: what waited
# for that partition would take up to two seconds. The slowest of 36 is as slow as the machine is
# busy, which says nothing of the partition.
LIMIT = 0.1
SLOWEST = STUCK_SECONDS / 4
SECONDS = 8.0
PAUSE = 0.02


def living_in(partition: int) -> str:
    """Return someone who lives in that partition."""
    while partition_of(user := person(), PARTITIONS) != partition:
        pass
    return user


def events(user: str) -> dict[str, dict[str, Any]]:
    """Return an event of every topic that is about one person."""
    return {
        "users": {"user_id": user, "email": f"{user}@example.com", "username": "U"},
        "registration": {
            "event": "send_greeting",
            "user_id": user,
            "email": f"{user}@example.com",
            "username": "U",
        },
        "watch_history": {
            "user_id": user,
            "film_id": "f",
            "seconds": 1,
            "at": "2026-11-10T12:00:00Z",
        },
        "bookmarks": {"user_id": user, "series_id": "s", "added": True},
        "activity": {"user_id": user, "body": "b"},
        "preferences": {"user_id": user, "locale": "ru"},
        "weekly_reminder": {"event": "send_reminder", "users": [user]},
        "monthly_statistic": {"event": "send_statistic", "users": [user]},
    }


async def load(producer: AIOKafkaProducer) -> dict[tuple[str, int, int], float]:
    """Send events to all partitions for a while; return when each was sent."""
    sent: dict[tuple[str, int, int], float] = {}

    async def send(topic: str, value: dict[str, Any], user: str) -> None:
        at = time.time()
        data = msgspec.json.encode(value)
        partition = partition_of(user, PARTITIONS)
        metadata = await producer.send_and_wait(topic, data, user.encode(), partition)
        sent[topic, partition, metadata.offset] = at

    tasks = []
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        for partition in range(PARTITIONS):
            user = living_in(partition)
            for topic, value in events(user).items():
                tasks.append(asyncio.create_task(send(topic, value, user)))
                await asyncio.sleep(PAUSE)
    await asyncio.gather(*tasks)
    return sent


def latencies(
    sent: dict[tuple[str, int, int], float], done: Path, partitions: set[int]
) -> dict[str, list[float]]:
    """Return the seconds from sending to all acknowledged, by topic."""
    found: dict[str, list[float]] = {}
    for line in done.read_text().splitlines():
        topic, partition, first, processed, at = line.split()
        for offset in range(int(first), int(processed)):
            began = sent.get((topic, int(partition), offset))
            if began is not None and int(partition) in partitions:
                found.setdefault(topic, []).append(float(at) - began)
    return {topic: sorted(values) for topic, values in found.items()}


async def test_a_partition_that_is_stuck_for_two_seconds_keeps_no_other_waiting(
    kafka_broker: str, redis_url: str, tmp_path: Path
) -> None:
    worker = Worker(kafka_broker, redis_url, tmp_path, app="tests.kafka.stuck_app")
    others = set(range(PARTITIONS)) - {STUCK}
    async with running(worker) as producer:
        await load(producer)
        await asyncio.sleep(1)
        (tmp_path / "stuck").touch()
        sent = await load(producer)
        await asyncio.sleep(2 * STUCK_SECONDS)
        beside = latencies(sent, tmp_path / "done", others)
        stuck = latencies(sent, tmp_path / "done", {STUCK})
        wanted = sum(1 for _, partition, _ in sent if partition in others)
        assert sum(map(len, beside.values())) == wanted
        assert set(beside) == set(events(""))
        # None at all: not one of them has come through yet.
        slowest = max((values[-1] for values in stuck.values()), default=STUCK_SECONDS + 1)
        assert slowest > STUCK_SECONDS
    print()
    for name, values in beside.items():
        middle = values[len(values) // 2]
        print(f"{name}: {len(values)} events, p50 {middle:.3f} s, slowest {values[-1]:.3f} s")
        assert middle < LIMIT
        assert values[-1] < SLOWEST
