"""Activity of one group while the worker is killed again and again on Apache Kafka."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from dev.logs import read_topic
from tests.conftest import eventually
from tests.kafka.streaming import PARTITIONS, Worker, person, running, send

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

KILLS = 3
# A window lasts a second or so: many of them end while a worker lives.
TICK, PAUSE = timedelta(seconds=10), 0.1


class Load:
    """Sends likes to a few people all the time while simulated time flies."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.people = [person() for _ in range(30)]
        self.sent: Counter[str] = Counter()
        self.done = asyncio.Event()
        self._producer = producer
        self._now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    async def tick(self, span: timedelta = TICK) -> None:
        self._now += span
        value = msgspec.json.encode({"at": self._now})
        for partition in range(PARTITIONS):
            await self._producer.send_and_wait("clock", value, partition=partition)

    async def likes(self) -> None:
        dice = random.Random(1)
        while not self.done.is_set():
            user = dice.choice(self.people)
            body = f"{user}/{self.sent[user]}"
            await send(
                self._producer, "activity", user, {"user_id": user, "body": body, "group": "g"}
            )
            self.sent[user] += 1
            await asyncio.sleep(0.005)

    async def time(self) -> None:
        while not self.done.is_set():
            await self.tick()
            await asyncio.sleep(PAUSE)


async def entries(broker: str) -> dict[str, list[dict[str, Any]]]:
    """Return each job's context as it first lay on the lane, by person; repeats must agree."""
    found: dict[str, dict[str, Any]] = {}
    for record in await read_topic(broker, "outbox_urgent"):
        job = msgspec.json.decode(record.value or b"{}")
        context = found.setdefault(job["job_id"], job["context"] | {"user_id": job["user_id"]})
        assert context.items() >= job["context"].items()
    by_user: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for context in found.values():
        by_user[context["user_id"]].append(context)
    return by_user


async def test_killed_in_the_middle_of_windows_it_counts_each_event_once(
    own_kafka: str, redis_url: str, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    worker = Worker(own_kafka, f"{redis_url.rpartition('/')[0]}/9", tmp_path)
    async with running(worker) as producer:
        load = Load(producer)
        await load.tick()
        # A like that is read before it would open a window at today's time: topics do not wait for
        # each other.
        await worker.at_rest("clock")
        tasks = [asyncio.create_task(load.likes()), asyncio.create_task(load.time())]
        for _ in range(KILLS):
            await eventually(worker.ready_again, 60, 0.1)
            await asyncio.sleep(dice.uniform(0.2, 2.5))
            await worker.kill()
            await worker.start()
        await eventually(worker.ready_again, 60, 0.1)
        load.done.set()
        await asyncio.gather(*tasks)
        await worker.at_rest("activity", "clock")
        await load.tick(timedelta(minutes=2))
        numbers = await worker.at_rest("activity", "clock")
        found = await entries(own_kafka)
    told = Counter({user: sum(e.get("count", 1) for e in them) for user, them in found.items()})
    assert told == load.sent
    assert any(len(them) > KILLS for them in found.values())
    for user, them in found.items():
        end = 0
        for entry in them:
            shown = entry.get("bodies", [entry["body"]])
            assert shown == [f"{user}/{end + number}" for number in range(len(shown))]
            end += entry.get("count", 1)
    assert numbers.total("cinema_groups_open") == 0
    assert numbers.total("cinema_job_ids", kind="activity") == sum(map(len, found.values()))
    assert numbers.total("cinema_records", topic="activity") == sum(load.sent.values())
