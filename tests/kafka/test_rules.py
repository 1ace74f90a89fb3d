"""The transport's rules, each with the real consumer driven into its case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from confluent_kafka import Message, Producer

from dev.logs import read_topic
from streams.topics import Topic
from tests.conftest import eventually
from tests.kafka.probe import FIRST, Probe, another_member, declared, probing
from tests.kafka.streaming import PARTITIONS

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def producer(kafka_broker: str) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer that waits for all."""
    found = AIOKafkaProducer(bootstrap_servers=kafka_broker, acks="all")
    await found.start()
    yield found
    await found.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def topic(kafka_broker: str) -> Topic:
    """Give a topic of its own."""
    return await declared(kafka_broker)


async def put(producer: AIOKafkaProducer, topic: Topic, number: int) -> list[int]:
    """Send so many records to the first partition; return their offsets."""
    sent = [await producer.send(topic.name, b"{}", partition=FIRST) for _ in range(number)]
    return [metadata.offset for metadata in await asyncio.gather(*sent)]


async def commits(app: Probe, offset: int) -> None:
    """Wait until that offset is what the app's group has committed."""

    async def reached() -> bool:
        return await app.committed() == offset

    await eventually(reached, 10)


# -- what is lost on the way


async def test_what_is_lost_before_a_first_commit_is_fetched_again_from_the_beginning(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    offsets = await put(producer, topic, 1200)
    app = Probe(kafka_broker, tmp_path, topic)
    app.lose = {0}
    async with probing(app):
        await app.all_seen(offsets)
        assert app.lose == set()
        assert app.seen[FIRST] == offsets
        assert app.batch_consumer.refetched == 1


async def test_one_record_lost_right_at_the_committed_offset_is_fetched_again(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    async with probing(Probe(kafka_broker, tmp_path, topic)) as app:
        offsets = await put(producer, topic, 10)
        await commits(app, 10)
        app.lose = {10}
        offsets += await put(producer, topic, 1)
        await eventually(lambda: gone(app), 10)
        offsets += await put(producer, topic, 3)
        await app.all_seen(offsets)
        await commits(app, offsets[-1] + 1)
        assert app.seen[FIRST] == offsets


async def test_a_last_record_that_is_lost_is_fetched_again_though_nothing_follows_it(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    async with probing(Probe(kafka_broker, tmp_path, topic)) as app:
        offsets = await put(producer, topic, 10)
        await commits(app, 10)
        app.lose = {12}
        offsets += await put(producer, topic, 3)
        await app.all_seen(offsets, 10)
        assert app.lose == set()
        assert app.seen[FIRST] == offsets


async def test_each_loss_costs_one_seek_though_fetches_are_always_under_way(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    offsets = await put(producer, topic, 30_000)
    app = Probe(kafka_broker, tmp_path, topic)
    app.lose = set(range(700, 29_000, 3000))
    losses = len(app.lose)
    async with probing(app):
        await app.all_seen(offsets, 60)
        assert app.lose == set()
        assert app.seen[FIRST] == offsets
        assert app.batch_consumer.refetched == losses


async def gone(app: Probe) -> bool:
    return not app.lose


# -- what happens when partitions move


async def test_what_a_rebalance_drops_is_read_again_and_nothing_is_processed_twice(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    async with probing(Probe(kafka_broker, tmp_path, topic)) as app:
        app.gate.clear()
        offsets = await put(producer, topic, 5000)

        async def full() -> bool:
            return len(app.handed) >= 2

        async def moving() -> bool:
            return not app.batch_consumer.flow_active

        async def let_go() -> None:
            # Not sooner: what is processed before the partitions move cannot be dropped.
            await eventually(moving, 20)
            app.gate.set()

        await eventually(full, 10)
        letting_go = asyncio.create_task(let_go())
        async with another_member(kafka_broker, app.conf.id, topic):
            await letting_go
        offsets += await put(producer, topic, 500)
        await app.all_seen(offsets)
        assert app.seen[FIRST] == offsets
        assert sum(len(batch.records) for batch in app.handed) > len(offsets)


async def test_a_revoke_waits_for_the_batch_in_flight_and_commits_it(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    async with probing(Probe(kafka_broker, tmp_path, topic)) as app:
        await put(producer, topic, 5)
        await commits(app, 5)
        app.gate.clear()
        await put(producer, topic, 5)
        await eventually(lambda: in_flight(app), 10)

        async def join() -> int | None:
            async with another_member(kafka_broker, app.conf.id, topic):
                return await app.committed()

        joining = asyncio.create_task(join())
        await asyncio.sleep(2)
        assert await app.committed() == 5
        app.gate.set()
        assert await joining == 10


async def test_a_batch_that_outlives_its_assignment_moves_no_commit_of_the_next(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    async with probing(Probe(kafka_broker, tmp_path, topic)) as app:
        await put(producer, topic, 5)
        await commits(app, 5)
        app.gate.clear()
        await put(producer, topic, 5)
        await eventually(lambda: in_flight(app), 10)
        async with another_member(kafka_broker, app.conf.id, topic) as other:
            # Its name comes first, so the first partition is its own.
            place = TopicPartition(topic.name, FIRST)
            assert place in other.assignment()
            # The revoke gave up in time: who waits too long is put out and has none.
            assert len(other.assignment()) < PARTITIONS
            assert await app.committed() == 5
            await other.commit({place: 8})
        await eventually(lambda: again(app), 20)
        app.gate.set()
        await commits(app, 10)
        assert app.seen[FIRST] == [*range(10), 8, 9]


async def again(app: Probe) -> bool:
    return app.recovered() and app.handed[-1].records[0].offset == 8


async def in_flight(app: Probe) -> bool:
    return app.batch_consumer.in_flight > 0


# -- gaps that the log itself has


def noted(places: list[int], error: Any, message: Message) -> None:
    """Note where a record has landed."""
    places.append(message.offset() or 0)


async def test_what_compaction_removed_is_passed_without_a_seek(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer
) -> None:
    compacted = await declared(
        kafka_broker,
        **{
            "cleanup.policy": "compact",
            "segment.ms": "200",
            "min.cleanable.dirty.ratio": "0.01",
            "max.compaction.lag.ms": "200",
        },
    )
    for number in range(20):
        await producer.send_and_wait(compacted.name, b"{}", b"key-%d" % (number % 3), FIRST)
    await asyncio.sleep(0.3)
    # What is written to a new segment lets the cleaner at the old one.
    await producer.send_and_wait(compacted.name, b"{}", b"last", FIRST)

    async def left() -> list[int]:
        records = await read_topic(kafka_broker, compacted.name)
        return [record.offset for record in records]

    async def compact() -> bool:
        return len(await left()) <= 4

    # The cleaner looks every 15 s.
    await eventually(compact, 60, 1)
    async with probing(Probe(kafka_broker, tmp_path, compacted)) as app:
        offsets = await left()
        await app.all_seen(offsets)
        assert app.seen[FIRST] == offsets
        assert app.batch_consumer.refetched == 0
        await commits(app, 21)


async def test_markers_of_transactions_are_passed_and_what_was_aborted_is_not_taken(
    kafka_broker: str, tmp_path: Path, producer: AIOKafkaProducer, topic: Topic
) -> None:
    other = Producer(
        {"bootstrap.servers": kafka_broker, "transactional.id": topic.name, "log_level": 0}
    )

    def transact() -> list[int]:
        """Commit three records, abort three, and commit three; return the offsets that count."""
        landed: list[int] = []
        aborted: list[int] = []
        other.init_transactions(30)
        for end, places in (("commit", landed), ("abort", aborted), ("commit", landed)):
            other.begin_transaction()
            for _ in range(3):
                note = partial(noted, places)
                other.produce(topic.name, b"{}", partition=FIRST, on_delivery=note)
            other.flush(10)
            getattr(other, f"{end}_transaction")(10)
        assert aborted == [6, 7, 8]
        return landed

    async with probing(Probe(kafka_broker, tmp_path, topic)) as app:
        offsets = await put(producer, topic, 2)
        offsets += await asyncio.to_thread(transact)
        await app.all_seen(offsets)
        assert app.seen[FIRST] == offsets == [0, 1, 2, 3, 4, 10, 11, 12]
        # The last is a marker: there is nothing behind it, and nothing left to do.
        await commits(app, 14)
        assert app.batch_consumer.refetched == 0
        offsets += await put(producer, topic, 2)
        await app.all_seen(offsets)
        assert app.seen[FIRST] == offsets
        assert app.batch_consumer.refetched == 0
