"""What lies on the topics, read from end to end without a consumer group: for commands and repairs.

Memory is bounded: a caller is given some records at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.fetch import FetchRequest

from streams.errors import BrokerUnavailable
from streams.topics import Topic

logger = logging.getLogger(__name__)

# A fetch that waits for nothing (0 makes the embedded broker answer without any partition).
FETCH_WAIT_MS: Final = 1
FETCH_BYTES: Final = 64 << 20
# A record of the largest topic fits, and a fetch of all partitions stays in memory.
PARTITION_BYTES: Final = 8 << 20
# Records given at once: enough to spread the cost of a call to Redis thin.
MANY: Final = 5_000
POLL_MS: Final = 200
STOP: Final = 1.0
# Seconds in which nothing more comes, though there is more: the broker is away.
SILENCE: Final = 60.0

T = TypeVar("T")
Offsets = Mapping[TopicPartition, int]
#: Told how many of how many offsets of a topic have been read.
Progress = Callable[[str, int, int], None]


async def high_watermarks(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the offset after the last record of each partition; moves no position.

    The embedded broker answers ListOffsets(latest) with the first offset of the last batch + 1.
    A fetch from there tells the truth, on either broker.
    """
    wanted = [TopicPartition(tp.topic, tp.partition) for tp in partitions]
    if not wanted:
        return {}
    offsets = await consumer.end_offsets(wanted)
    client = consumer._client
    nodes: defaultdict[int, defaultdict[str, list[tuple[int, int, int]]]]
    nodes = defaultdict(lambda: defaultdict(list))
    for tp in wanted:
        node = client.cluster.leader_for_partition(tp)
        nodes[node][tp.topic].append((tp.partition, offsets[tp], 1))
    ends: dict[TopicPartition, int] = {}
    for node, topics in nodes.items():
        request = FetchRequest(FETCH_WAIT_MS, 1, FETCH_BYTES, 0, list(topics.items()))
        response = await client.send(node, request)
        for topic, answers in response.topics:
            for partition, error, watermark, *_ in answers:
                if error:
                    raise kafka_errors.for_code(error)(f"{topic}/{partition}")
                ends[TopicPartition(topic, partition)] = watermark
    if missing := [tp for tp in wanted if tp not in ends]:
        raise BrokerUnavailable(f"the broker does not say where {missing[0]} ends")
    return ends


class Logs:
    """The topics of a broker, for as long as an `async with` lasts.

    Everything raises BrokerUnavailable for a broker that does not answer and a topic that does not
    exist.
    """

    def __init__(self, bootstrap: str | Sequence[str]) -> None:
        """Read from the brokers at those `host:port`."""
        self._bootstrap = bootstrap if isinstance(bootstrap, str) else ", ".join(bootstrap)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=PARTITION_BYTES,
        )

    async def __aenter__(self) -> Logs:
        try:
            await self._consumer.start()
        except kafka_errors.KafkaError as error:
            await self._consumer.stop()
            raise BrokerUnavailable(
                f"no broker answers at {self._bootstrap}: see CINEMA_BROKER"
            ) from error
        return self

    async def __aexit__(self, *exception: Any) -> None:
        # aiokafka's fetcher can miss that it is cancelled while it takes up a new assignment
        # (0.14, consumer/fetcher.py); the second time it hears.
        async with asyncio.timeout(STOP):
            await self._consumer.stop()

    async def partitions(self, *topics: str) -> list[TopicPartition]:
        """Return the partitions of the topics."""
        # Not by asking for those topics: the embedded broker would create them.
        cluster = await self._consumer._client.fetch_all_metadata()
        tps: list[TopicPartition] = []
        for topic in topics:
            found = cluster.partitions_for_topic(topic)
            if not found:
                raise BrokerUnavailable(
                    f"topic {topic} does not exist: have the workers declared it?"
                )
            tps += [TopicPartition(topic, partition) for partition in sorted(found)]
        return tps

    async def begins(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset of the first record that each partition still has."""
        found: dict[TopicPartition, int] = await self._consumer.beginning_offsets(partitions)
        return found

    async def ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record of each partition."""
        return await high_watermarks(self._consumer, partitions)

    async def since(
        self, partitions: Sequence[TopicPartition], at: datetime
    ) -> dict[TopicPartition, int]:
        """Return where the first record of that time or later may lie; the end where none does.

        Behind it lie older ones, too: a record that was sent on keeps its time.
        """
        moment = int(at.timestamp() * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, moment))
        ends = await self.ends(partitions)
        return {tp: ends[tp] if found[tp] is None else found[tp].offset for tp in partitions}

    async def read(
        self,
        partitions: Sequence[TopicPartition],
        begins: Offsets | None = None,
        ends: Offsets | None = None,
        progress: Progress | None = None,
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield the records of partitions, each partition's in order, some thousands at a time.

        They are read from their beginning to where they end now, unless offsets are given.
        """
        begins = begins if begins is not None else await self.begins(partitions)
        ends = ends if ends is not None else await self.ends(partitions)
        total = sum(max(ends[tp] - begins[tp], 0) for tp in partitions)
        if not total:
            return
        consumer = self._consumer
        consumer.assign(partitions)
        for tp in partitions:
            consumer.seek(tp, begins[tp])
        last = asyncio.get_running_loop().time()
        at = dict(begins)
        # A position also passes what compaction has removed.
        while left := [tp for tp in partitions if at[tp] < ends[tp]]:
            fetched = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=MANY)
            before = dict(at)
            for tp in left:
                at[tp] = max(at[tp], await consumer.position(tp))
            records = [
                record
                for tp, found in fetched.items()
                for record in found
                if record.offset < ends[tp]
            ]
            now = asyncio.get_running_loop().time()
            if at != before:
                last = now
            elif now - last > SILENCE:
                raise BrokerUnavailable(f"{left[0]}: nothing came for {SILENCE:.0f} s")
            if records:
                yield records
            if progress is not None:
                topic = partitions[0].topic
                remain = sum(max(ends[tp] - at[tp], 0) for tp in partitions)
                progress(topic, total - remain, total)

    async def said(
        self, topic: Topic, decode: Callable[[bytes], T], progress: Progress | None = None
    ) -> AsyncIterator[tuple[ConsumerRecord, T]]:
        """Yield the records of a topic with what they say; pass over what cannot be read."""
        partitions = await self.partitions(topic.name)
        async for records in self.read(partitions, progress=progress):
            for record in records:
                try:
                    found = decode(record.value or b"")
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    # It became a dead letter when it came.
                    place = f"{record.topic}/{record.partition}/{record.offset}"
                    logger.warning("%s cannot be read: %s", place, error)
                    continue
                yield record, found
