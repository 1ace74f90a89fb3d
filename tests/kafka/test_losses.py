"""What plain Faust loses, one test for each case: ours does not.

An app of its own on Apache Kafka, in this process or in a child that is killed with -9; the cases
are those of docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from dev.logs import end_offsets, read_topic
from streams.partitions import partition_of
from streams.topics import VALUE_LIMIT
from tests.conftest import eventually
from tests.integration.cinema import OUTCOMES
from tests.kafka.streaming import PARTITIONS, Worker, person, running, send

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]


async def jobs_of(broker: str, topic: str = "outbox_urgent") -> Counter[tuple[str, str]]:
    """Return how often each job id lies on a topic, by person and id."""
    values = [
        msgspec.json.decode(record.value or b"{}") for record in await read_topic(broker, topic)
    ]
    return Counter((one["user_id"], one["job_id"]) for one in values if "job_id" in one)


async def test_an_agent_that_raises_loses_no_event(worker: Worker) -> None:
    good, bad = [person() for _ in range(8)], [person() for _ in range(4)]
    # The schema takes it; the decision raises.
    async with running(worker) as producer:
        start = await end_offsets(worker.broker, "dead_letters")
        for number, user in enumerate(good):
            await send(producer, "activity", user, {"user_id": user, "body": "good"})
            if number % 2:
                watch = {"user_id": bad[number // 2], "film_id": "f", "seconds": 1}
                late = {**watch, "at": "2199-01-01T00:00:00Z"}
                await send(producer, "watch_history", bad[number // 2], late)
        await worker.at_rest("activity", "watch_history")
        letters = await read_topic(worker.broker, "dead_letters", start)
        jobs = await jobs_of(worker.broker)
    assert len(letters) == 4
    assert {user for user, _ in jobs} >= set(good)


async def test_undecodable_json_is_kept_and_its_neighbours_go_on(worker: Worker) -> None:
    good = [person() for _ in range(8)]
    async with running(worker) as producer:
        start = await end_offsets(worker.broker, "dead_letters")
        for user in good:
            await send(producer, "activity", user, {"user_id": user, "body": "good"})
            await send(producer, "activity", user, b'{"user_id": broken')
        await worker.at_rest("activity")
        letters = await read_topic(worker.broker, "dead_letters", start)
        jobs = await jobs_of(worker.broker)
    assert len(letters) == 8
    assert {user for user, _ in jobs} >= set(good)


async def test_a_record_that_a_topic_would_refuse_is_a_dead_letter_before_it_is_sent(
    worker: Worker,
) -> None:
    user, other = person(), person()
    async with running(worker) as producer:
        start = await end_offsets(worker.broker, "dead_letters")
        for number in range(10):
            film = {"film_id": f"huge-{number}", "title": "T" * (VALUE_LIMIT // 2), "rating": 100}
            await send(producer, "films", f"huge-{number}", film)
        profile = {"user_id": user, "email": f"{user}@example.com"}
        await send(producer, "users", user, profile)
        await worker.at_rest("films", "users")

        async def films_known() -> bool:
            return (await worker.gauges()).total("cinema_films") >= 10

        await eventually(films_known, 20)
        reminder = {"event": "send_reminder", "users": [user]}
        await send(producer, "weekly_reminder", user, reminder)
        await send(producer, "activity", other, {"user_id": other, "body": "after it"})
        await worker.at_rest("weekly_reminder", "activity")
        letters = await read_topic(worker.broker, "dead_letters", start)
        jobs = await jobs_of(worker.broker)
        for number in range(10):
            await producer.send_and_wait(
                "films",
                None,
                f"huge-{number}".encode(),
                partition=partition_of(f"huge-{number}", PARTITIONS),
            )
    assert ["TooLarge" in msgspec.json.decode(one.value or b"")["error"] for one in letters] == [
        True
    ]
    assert other in {one for one, _ in jobs}


async def killed_again_and_again(
    worker: Worker,
    producer: AIOKafkaProducer,
    kills: int,
    wait: Callable[[], float],
    rate: float,
) -> tuple[list[str], int]:
    """Send while the worker is killed; return whom something was sent for, and the records."""
    users: list[str] = []
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            user = person()
            users.append(user)
            greeting = {"event": "send_greeting", "user_id": user, "email": f"{user}@example.com"}
            await send(producer, "registration", user, greeting | {"username": "K"})
            for seconds in (1, 2):
                watch = {"user_id": user, "film_id": f"f{seconds}", "seconds": seconds}
                await send(producer, "watch_history", user, {**watch, "at": "2026-11-10T12:00:00Z"})
            await asyncio.sleep(rate)

    loading = asyncio.create_task(load())
    for _ in range(kills):
        await eventually(worker.ready_again, 60, 0.1)
        await asyncio.sleep(wait())
        await worker.kill()
        await worker.start()
    await eventually(worker.ready_again, 60, 0.1)
    done.set()
    await loading
    return users, len(users) * 3


@pytest.mark.parametrize("kills", [5])
async def test_a_kill_loop_loses_and_repeats_nothing(worker: Worker, kills: int) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    topics = ("registration", "watch_history")
    async with running(worker) as producer:
        before = await worker.at_rest(*topics)
        users, sent = await killed_again_and_again(
            worker, producer, kills, lambda: dice.uniform(0.2, 2.0), 0.002
        )
        after = await worker.at_rest(*topics)
        jobs = await jobs_of(worker.broker)
        counted = {
            topic: sum(
                after.total("cinema_records", topic=topic, outcome=one)
                - before.total("cinema_records", topic=topic, outcome=one)
                for one in OUTCOMES
            )
            for topic in topics
        }
        months = {user: await worker.month(user) for user in users}
        wrong = [one for one in months.values() if (one["films"], one["seconds"]) != (2, 3)]
        odd = {one["user_id"]: one["seconds"] for one in wrong}
        lying = [
            (record.partition, record.offset, record.key)
            for record in await read_topic(worker.broker, "watch_history")
            if (record.key or b"").decode() in odd
        ]
    mine = {(user, job): number for (user, job), number in jobs.items() if user in set(users)}
    greeted = Counter(user for user, _ in mine)
    again = sum(number - 1 for number in mine.values())
    print(f"\n{sent} records, {kills} kills: {again} jobs written again under the same id")
    assert not wrong, (odd, lying, counted, sent)
    assert sum(counted.values()) == sent
    assert set(greeted) == set(users), f"{len(set(users) - set(greeted))} were never greeted"
    assert set(greeted.values()) == {1}
    assert not wrong, (odd, lying)


async def test_a_kill_while_kafka_is_slower_than_the_commits_loses_no_table_update(
    kafka_broker: str, redis_url: str, tmp_path: Path
) -> None:
    # Partition 0 of this app waits two seconds before each of its changelog's record batches.
    worker = Worker(kafka_broker, redis_url, tmp_path, app="tests.kafka.stuck_app")
    (tmp_path / "stuck").touch()
    people = [one for one in (person() for _ in range(400)) if partition_of(one, PARTITIONS) == 0]
    async with running(worker) as producer:
        for user in people:
            watch = {"user_id": user, "film_id": "f", "seconds": 5}
            await send(producer, "watch_history", user, watch | {"at": "2026-11-10T12:00:00Z"})
            await asyncio.sleep(0.06)
        await worker.kill()
        (tmp_path / "stuck").unlink()
        await worker.start()
        await worker.at_rest("watch_history")
        wrong = [one for one in people if (await worker.month(one))["seconds"] != 5]
    done = [line.split() for line in (tmp_path / "done").read_text().splitlines()]
    assert len(people) > 50 and done
    assert wrong == [], f"{len(wrong)} of {len(people)} updates lost"
