"""Everybody's month is exact, whoever is asked, whatever is killed; and is reported once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from dev.cinema.people import ZONES
from dev.logs import end_offsets, read_topic
from streams.lag import SENDER_GROUP
from streams.partitions import partition_of
from tests.conftest import eventually
from tests.kafka.streaming import PARTITIONS, Worker, at_rest

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]

GENRES = {"f0": ["drama"], "f1": ["comedy", "drama"], "f2": ["western"]}
PEOPLE = 20_000
KEY = {"Authorization": "Bearer " + "k" * 32}
#: topic, key, value
Said = tuple[str, str, dict[str, Any]]


@pytest.fixture
def workers(own_kafka: str, redis_url: str, tmp_path: Path) -> list[Worker]:
    """Give two workers that have not been started."""
    redis = f"{redis_url.rpartition('/')[0]}/9"
    return [Worker(own_kafka, redis, tmp_path / name) for name in ("one", "two")]


@asynccontextmanager
async def producing(workers: Sequence[Worker]) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer beside a worker that knows the films; kill all workers at the end."""
    async with AIOKafkaProducer(
        bootstrap_servers=workers[0].broker, acks="all", linger_ms=5
    ) as producer:
        try:
            await workers[0].start()
            await workers[0].until_ready()
            films = [
                ("films", name, {"film_id": name, "title": name, "genres": genres})
                for name, genres in GENRES.items()
            ]
            await put(producer, films)
            yield producer
        finally:
            for worker in workers:
                await worker.kill()


async def put(producer: AIOKafkaProducer, records: Iterable[Said]) -> None:
    """Produce records where their keys belong, as fast as it goes."""
    sent = [
        await producer.send(
            topic, msgspec.json.encode(value), key.encode(), partition_of(key, PARTITIONS)
        )
        for topic, key, value in records
    ]
    await asyncio.gather(*sent)


def watch(user: str, film: str, seconds: int) -> Said:
    value = {"user_id": user, "film_id": film, "seconds": seconds, "at": "2026-11-15T12:00:00Z"}
    return "watch_history", user, value


def numbers(month: dict[str, Any]) -> tuple[Any, ...]:
    genres = [tuple(genre.values()) for genre in month["genres"]]
    return month["films"], month["seconds"], month["top_genre"], genres


# -- asked all the time


class Asking:
    """Asks for months without end, one after the other, of whichever worker."""

    def __init__(self, workers: Sequence[Worker], growing: str) -> None:
        self.wanted: dict[str, tuple[Any, ...]] = {}
        self.wrong: list[Any] = []
        self.answers: Counter[tuple[str, int]] = Counter()
        self._workers, self._growing, self._least = workers, growing, 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        dice = random.Random(5)
        async with aiohttp.ClientSession(headers=KEY) as session:
            while True:
                for worker in self._workers:
                    with suppress(aiohttp.ClientError):
                        user = dice.choice([*self.wanted, self._growing])
                        await self._ask(session, worker, user)
                await asyncio.sleep(0.002)

    async def _ask(self, session: aiohttp.ClientSession, worker: Worker, user: str) -> None:
        page = f"{worker.url}/users/{user}/statistics?month=2026-11"
        async with session.get(page) as response:
            self.answers[worker.url, response.status] += 1
            if response.status != 200:
                return
            month = await response.json()
        if user == self._growing:
            if month["seconds"] < self._least:
                self.wrong.append((user, month, self._least))
            self._least = month["seconds"]
        elif numbers(month) != self.wanted[user]:
            self.wrong.append((user, month, self.wanted[user]))

    async def some(self, *workers: Worker) -> None:
        """Wait until each of those has answered a hundred times from here on."""
        before = self.answers.copy()

        async def asked() -> bool:
            assert not self._task.done(), self._task.exception()
            return all(
                self.answers[worker.url, 200] - before[worker.url, 200] >= 100 for worker in workers
            )

        await eventually(asked, 60, 0.1)

    def end(self) -> None:
        self._task.cancel()


async def test_every_answer_is_right_while_workers_come_and_are_killed(
    workers: list[Worker],
) -> None:
    one, two = workers
    people = [f"asked-{number}" for number in range(200)]
    async with producing(workers) as producer:
        films = list(GENRES)
        await put(producer, [watch(user, films[n % 3], n) for n, user in enumerate(people)])
        await put(producer, [watch(user, "f2", 60) for user in people])
        await one.at_rest("films", "watch_history")
        asking = Asking(workers, "growing")
        for user in people:
            asking.wanted[user] = numbers(await one.month(user))
        assert {found[0] for found in asking.wanted.values()} == {1, 2}
        assert asking.wanted["asked-1"][3] == [
            ("western", 1, 60),
            ("comedy", 1, 1),
            ("drama", 1, 1),
        ]

        async def grow() -> None:
            while True:
                await put(producer, [watch("growing", "f0", 1)])

        growing = asyncio.create_task(grow())
        try:
            await asking.some(one)
            await two.start()
            await asking.some(one, two)
            await one.kill()
            await asking.some(two)
            await one.start()
            await asking.some(one, two)
        finally:
            growing.cancel()
            asking.end()
    statuses = {status for _, status in asking.answers}
    print(f"\n{dict(asking.answers)}")
    assert asking.wrong == []
    assert statuses == {200, 503}


# -- reported once


@asynccontextmanager
async def sending(broker: str) -> AsyncIterator[None]:
    """Say in the sender's name that all bulk jobs are done: else the walks would wait for it."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=broker, group_id=SENDER_GROUP)
    places = [TopicPartition("outbox", number) for number in range(PARTITIONS)]

    async def commit() -> None:
        while True:
            await consumer.commit(await consumer.end_offsets(places))
            await asyncio.sleep(0.3)

    await consumer.start()
    consumer.assign(places)
    task = asyncio.create_task(commit())
    try:
        yield
    finally:
        task.cancel()
        await consumer.stop()


async def test_a_worker_killed_in_a_monthly_campaign_reports_everybody_once_and_exactly(
    workers: list[Worker],
) -> None:
    began = monotonic()
    one, two = workers
    zones = [*ZONES, "Asia/Seoul"]
    assert len(set(zones)) == 40
    people = {f"reported-{number}": number for number in range(PEOPLE)}

    async def tick(at: str) -> None:
        sent = [
            producer.send_and_wait("clock", msgspec.json.encode({"at": at}), partition=number)
            for number in range(PARTITIONS)
        ]
        await asyncio.gather(*sent)

    async def jobs() -> int:
        return sum((await end_offsets(one.broker, "outbox", "held")).values())

    async with producing(workers) as producer, sending(one.broker):
        await two.start()
        await tick("2026-11-30T00:00:00Z")
        await put(
            producer,
            (
                ("users", user, {"user_id": user, "email": f"{user}@example.com", "timezone": zone})
                for user, number in people.items()
                for zone in (zones[number % 40],)
            ),
        )
        await put(producer, (watch(user, f"f{n % 3}", n) for user, n in people.items()))
        for worker in workers:
            await worker.until_ready()
        await at_rest(workers, "users", "watch_history", "clock")
        ready, before = monotonic(), await jobs()
        # The first of December, ten o'clock, has come in the last of the zones.
        await tick("2026-12-01T22:00:00Z")

        async def begun() -> bool:
            return await jobs() - before > PEOPLE // 5

        await eventually(begun, 60, 0.02)
        await two.kill()
        there = await jobs() - before
        await two.start()
        # Time goes on: a partition whose walk is not over does nothing before it hears something.
        await two.until_ready()
        await tick("2026-12-01T22:00:01Z")
        found = await at_rest(workers, "users", "watch_history", "clock", "held")
        reports = [
            job
            for topic in ("outbox", "held")
            for record in await read_topic(one.broker, topic)
            if (job := msgspec.json.decode(record.value or b""))["kind"] == "monthly_statistic"
        ]
    took = monotonic() - began
    print(f"\n{took:.0f} s, {ready - began:.0f} of them to set up; killed after {there} jobs")
    assert there < PEOPLE, "the campaign was over before the kill"
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for job in reports:
        ids[job["user_id"]].add(job["job_id"])
    print(f"{len(reports) - PEOPLE} jobs were written again under the same id")
    assert Counter(map(len, ids.values())) == {1: PEOPLE}
    assert set(ids) == set(people)
    wrong = [job for job in reports if said(job["context"]) != expected(people[job["user_id"]])]
    assert wrong == []
    assert found.total("cinema_job_ids", kind="monthly_statistic") == PEOPLE


def said(context: dict[str, Any]) -> tuple[Any, ...]:
    genres = [tuple(genre.values()) for genre in context["genres"]]
    return context["month"], context["films"], context["seconds"], genres


def expected(number: int) -> tuple[Any, ...]:
    genres = [(genre, 1, number) for genre in sorted(GENRES[f"f{number % 3}"])]
    return "2026-11", 1, number, genres
