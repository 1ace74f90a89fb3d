"""A walk with the sender's real lag, and through a kill: on Kafka, with a real worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count, islice
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from dev.logs import end_offsets, read_topic
from streams.lag import SENDER_GROUP
from streams.partitions import partition_of
from streams.topics import OUTBOX
from streams.walking import BULK_LAG, CHUNK
from tests.conftest import eventually
from tests.kafka.streaming import PARTITIONS, Worker, person, running, send

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

LANE = TopicPartition(OUTBOX.name, 0)
PEOPLE = BULK_LAG + 4 * CHUNK


async def all_sent(broker: str) -> None:
    """Commit the lane's end in the sender's stead: all its jobs are done."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=broker, group_id=SENDER_GROUP, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([LANE])
        await consumer.commit({LANE: (await end_offsets(broker, OUTBOX.name))[LANE]})
    finally:
        await consumer.stop()


async def test_a_walk_goes_on_after_a_kill_and_waits_while_the_sender_is_behind(
    worker: Worker,
) -> None:
    series = person()
    names = (f"{series}-{number}" for number in count())
    people = list(
        islice((one for one in names if partition_of(one, PARTITIONS) == LANE.partition), PEOPLE)
    )
    async with running(worker) as producer:
        profile = {"email": "a@example.com", "channels": {"episode": ["websocket"]}}
        listed = {"series_id": series, "added": True}
        sent = []
        for topic, value in (("users", profile), ("bookmarks", listed)):
            for user in people:
                data = msgspec.json.encode({"user_id": user, **value})
                sent.append(await producer.send(topic, data, user.encode(), LANE.partition))
        await asyncio.gather(*sent)
        await worker.at_rest("users", "bookmarks")
        await all_sent(worker.broker)
        start = await end_offsets(worker.broker, OUTBOX.name)

        async def jobs() -> int:
            return (await end_offsets(worker.broker, OUTBOX.name))[LANE] - start[LANE]

        async def walked(number: int) -> bool:
            return await jobs() >= number

        episode = {"series_id": series, "serial_name": "S", "link": "https://c.example/s"}
        await send(producer, "episodes", series, episode)
        await eventually(lambda: walked(CHUNK), 30, 0.02)
        await worker.kill()
        await worker.start()
        await eventually(lambda: walked(BULK_LAG), 60)
        # Longer than the lag is asked for; what stands there by then stays.
        await asyncio.sleep(3)
        waiting = await jobs()

        # A worker whose partitions are being moved says nothing of them.
        async def is_open() -> bool:
            return (await worker.gauges()).total("cinema_walks_open") == 1

        await eventually(is_open, 20)
        await all_sent(worker.broker)

        async def ended() -> bool:
            found = await worker.gauges()
            return (await walked(PEOPLE)) and found.total("cinema_walks_open") == 0

        await eventually(ended, 60)
        said = Counter(
            (job["user_id"], job["job_id"])
            for job in (
                msgspec.json.decode(record.value or b"")
                for record in await read_topic(worker.broker, OUTBOX.name, start)
            )
            if job["user_id"].startswith(series)
        )
    assert BULK_LAG < waiting <= BULK_LAG + CHUNK
    # Each under one id; what a kill had written again would be the last slice's.
    assert sorted(user for user, _ in said) == sorted(people)
    assert said.total() - len(said) <= CHUNK
