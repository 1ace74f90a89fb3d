"""A small app on our transport in this process: what a consumer is driven into, a test can see."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from dev.ports import free_port
from streams.faust_app import CinemaApp
from streams.processing import Done, Processing
from streams.settings import Settings
from streams.topics import Topic
from streams.transport import Batch
from tests.conftest import eventually
from tests.kafka.streaming import PARTITIONS

#: A test topic's partition that the tests look at; the others only have to be there.
FIRST = 0


class Probe(CinemaApp):
    """Takes one topic and notes which offsets were processed, in order; `gate` holds it."""

    def __init__(self, broker: str, data: Path, topic: Topic, group: str | None = None) -> None:
        settings = Settings(
            broker=f"kafka://{broker}", partitions=PARTITIONS, clock="topic", data_dir=data
        )
        super().__init__(group or f"probe-{uuid4().hex[:8]}", settings, free_port())
        self.deaths: list[str] = []
        self.own_topics = (topic,)
        self.seen: defaultdict[int, list[int]] = defaultdict(list)
        #: Every batch that was handed over, to be processed or dropped.
        self.handed: list[Batch] = []
        #: Offsets whose batch is to be lost on the way, once each.
        self.lose: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.processing = Processing(
            self, lambda batch: batch.tp, self.process, fatal=self.deaths.append
        )
        self.take(topic, self.accept)

    def accept(self, batch: Batch) -> None:
        """Take a batch as an agent hands it over; one that is to be lost never arrives."""
        self.handed.append(batch)
        lost = self.lose & {record.offset for record in batch.records}
        if lost and batch.tp.partition == FIRST:
            self.lose -= lost
            self.batch_consumer.done(batch)
        else:
            self.processing.accept(batch)

    async def process(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Note the records once the gate is open."""
        await self.gate.wait()
        self.seen[batch.tp.partition] += [record.offset for record in records]
        return Done(records[-1].offset + 1)

    async def on_stop(self) -> None:
        """End the tasks."""
        await super().on_stop()
        await self.processing.stop()

    async def all_seen(self, offsets: Sequence[int], limit: float = 30) -> None:
        """Wait until the first partition's last offset was processed."""

        async def reached() -> bool:
            return bool(offsets) and offsets[-1] in self.seen[FIRST]

        await eventually(reached, limit)

    async def committed(self) -> int | None:
        """Return what this app's group has committed of the first partition."""
        (topic,) = self.own_topics
        return await committed(self.cinema.broker.removeprefix("kafka://"), self.conf.id, topic)


@asynccontextmanager
async def probing(app: Probe) -> AsyncIterator[Probe]:
    """Run a probe once its streams have been given partitions."""
    async with in_process(app, lambda: app.recovered() and bool(app.owned(app.own_topics[0]))):
        try:
            yield app
        finally:
            app.gate.set()


@asynccontextmanager
async def in_process(app: CinemaApp, ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Run an app in this process, which is the test's and must not end with it."""
    app.heartbeat._fatal = lambda reason: None

    async def is_ready() -> bool:
        return ready()

    await app.start()
    try:
        await eventually(is_ready, 60)
        yield
    finally:
        await asyncio.wait_for(app.stop(), 30)


async def committed(broker: str, group: str, topic: Topic) -> int | None:
    """Return what a group has committed of the first partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    offsets = {(tp.topic, tp.partition): one.offset for tp, one in found.items()}
    return offsets.get((topic.name, FIRST))


async def declared(broker: str, **config: str) -> Topic:
    """Make a topic of its own with those settings, and return it."""
    topic = Topic(f"rules_{uuid4().hex[:8]}", "", None)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic.name, PARTITIONS, 1, topic_configs=config)])
    finally:
        await admin.close()
    return topic


@asynccontextmanager
async def another_member(broker: str, group: str, topic: Topic) -> AsyncIterator[AIOKafkaConsumer]:
    """Let another consumer be in the group for as long as the context lasts."""
    consumer: Any = AIOKafkaConsumer(
        topic.name,
        bootstrap_servers=broker,
        group_id=group,
        enable_auto_commit=False,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        session_timeout_ms=6000,
        rebalance_timeout_ms=6000,
        heartbeat_interval_ms=500,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
