"""Input topics read again, in whole or in part: no second mail, no other count."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from agents import AGENTS
from dev.logs import end_offsets, read_topic
from streams.app import APP
from streams.partitions import partition_of
from streams.routing import ORIGIN
from streams.topics import CLOCK
from tests.conftest import eventually
from tests.integration.cinema import OUTCOMES, Gauges
from tests.kafka.streaming import PARTITIONS, Worker, person, running, send
from tests.kafka.test_isolation import events

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

INPUTS = (*(agent.topic.name for agent in AGENTS), CLOCK.name)
OUTPUTS = ("outbox", "outbox_urgent", "deliveries", "dead_letters", "held")
PEOPLE = 60
# In the afternoon, so that what waits for a window goes out at once.
NOW = "2026-11-20T14:00:00Z"
LATER = "2026-11-20T15:00:00Z"


async def everything(producer: AIOKafkaProducer, people: list[str]) -> None:
    """Send something to every topic: good, broken, misplaced and repeated."""

    async def tick(at: str) -> None:
        for partition in range(PARTITIONS):
            data = msgspec.json.encode({"at": at})
            await producer.send_and_wait(CLOCK.name, data, partition=partition)

    await tick(NOW)
    for user in people:
        for topic, value in events(user).items():
            await send(producer, topic, user, value)
        value = events(user)["watch_history"]
        # Without a key and anywhere: it is sent on.
        await producer.send_and_wait("watch_history", msgspec.json.encode(value))
        for _ in range(2):
            named = events(user)["activity"] | {"event_id": f"named-{user}"}
            await send(producer, "activity", user, named)
        await send(producer, "preferences", user, b"{broken")
        letter = {"subject": "S", "text": "T", "to": f"{user}@example.com"}
        await send(producer, "letters", user, letter)
    episode = {"series_id": "s", "serial_name": "S", "link": "https://c.example/s"}
    await send(producer, "episodes", "s", episode)
    await send(producer, "registration", "", {"event": "send_greeting"})
    await send(producer, "weekly_reminder", "", {"event": "send_reminder"})
    campaign = {"campaign_id": "c", "kind": "tip", "cron": "30 14 * * *", "audience": "all"}
    await send(producer, "campaigns", "c", campaign)
    await asyncio.sleep(1)
    await tick(LATER)


async def told(worker: Worker, found: Gauges, people: list[str]) -> dict[str, Any]:
    """Return all that the outside can tell."""
    seen: dict[str, Any] = {
        f"{topic} {outcome}": found.total("cinema_records", topic=topic, outcome=outcome)
        for topic in INPUTS
        for outcome in OUTCOMES
    }
    for kind in found.values("cinema_job_ids", "kind"):
        seen[kind] = found.total("cinema_job_ids", kind=kind)
    for topic in OUTPUTS:
        values = [
            msgspec.json.decode(one.value or b"") for one in await read_topic(worker.broker, topic)
        ]
        seen[topic] = Counter(one.get("job_id") for one in values)
    seen["months"] = [await worker.month(user) for user in people]
    return seen


async def go_back(worker: Worker, places: Mapping[TopicPartition, int]) -> None:
    """Stop the worker, commit other offsets in its stead, and start it again."""
    assert worker.process is not None
    worker.process.terminate()
    await asyncio.wait_for(worker.process.wait(), 20)
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=worker.broker, group_id=APP)
    await consumer.start()
    try:
        consumer.assign(list(places))

        async def committed() -> bool:
            try:
                await consumer.commit(dict(places))
            except KafkaError:
                # The group still has a member.
                return False
            return True

        await eventually(committed, 30, 0.5)
    finally:
        await consumer.stop()
    await worker.start()
    await worker.until_ready()


async def test_all_inputs_read_again_from_anywhere_change_nothing(worker: Worker) -> None:
    seed = random.randrange(1 << 30)
    print(f"\nseed {seed}")
    dice = random.Random(seed)
    people = [person() for _ in range(PEOPLE)]
    async with running(worker) as producer:
        await everything(producer, people)
        await worker.at_rest(*INPUTS)
        # What was sent on lands on the same topics.
        before = await told(worker, await worker.at_rest(*INPUTS), people)
        ends = await end_offsets(worker.broker, *INPUTS)
        assert before["outbox"].total() > PEOPLE and before["dead_letters"].total() >= PEOPLE
        assert before["watch_history forwarded"] > 0 and before["activity duplicate"] >= PEOPLE
        for places in (
            dict.fromkeys(ends, 0),
            {tp: dice.randint(0, end) for tp, end in ends.items()},
            {tp: dice.randint(0, end) for tp, end in ends.items()},
        ):
            await go_back(worker, places)
            after = await told(worker, await worker.at_rest(*INPUTS), people)
            assert after == before


async def test_a_copy_keeps_the_identity_of_what_it_was_made_from(worker: Worker) -> None:
    ann = person()
    home = partition_of(ann, PARTITIONS)
    away = (home + 1) % PARTITIONS
    watch = msgspec.json.encode(events(ann)["watch_history"])
    async with running(worker) as producer:

        async def put(partition: int, origin: bytes | None = None) -> str:
            headers = [(ORIGIN, origin)] if origin is not None else []
            sent = await producer.send_and_wait(
                "watch_history", watch, ann.encode(), partition, headers=headers
            )
            return f"watch_history/{sent.partition}/{sent.offset}"

        async def count() -> Counter[str]:
            found = await worker.at_rest("watch_history")
            found = await worker.at_rest("watch_history")
            return Counter(
                {
                    one: int(found.total("cinema_records", topic="watch_history", outcome=one))
                    for one in OUTCOMES
                }
            )

        before = await count()
        origin = await put(away)
        assert await count() - before == Counter(forwarded=1, applied=1)
        # The copy once more, as a kill between sending it on and noting that would leave it.
        await put(home, origin.encode())
        assert await count() - before == Counter(forwarded=1, applied=1, duplicate=1)
        # Dead, since it was sent on to where nobody lives; then replayed twice.
        await put(away, b"watch_history/0/123456789")
        assert await count() - before == Counter(forwarded=1, applied=1, duplicate=1, dead=1)
        await put(home, b"watch_history/0/123456789")
        await put(home, b"watch_history/0/123456789")
        assert await count() - before == Counter(forwarded=1, applied=2, duplicate=2, dead=1)
        assert (await worker.month(ann))["seconds"] == 2
