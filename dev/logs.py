"""What lies on a topic, to its true end, on Apache Kafka and on the embedded broker alike."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.fetch import FetchRequest

from streams.errors import BrokerUnavailable

# A fetch that waits for nothing (0 makes the embedded broker answer without any partition).
FETCH_WAIT_MS: Final = 1
FETCH_BYTES: Final = 64 << 20
READ_LIMIT: Final = 60.0


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


class _Reader:
    """A consumer without a group, for as long as a `with` lasts."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=8 << 20,
        )

    async def __aenter__(self) -> AIOKafkaConsumer:
        await self._consumer.start()
        return self._consumer

    async def __aexit__(self, *exception: Any) -> None:
        await self._consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, *topics: str) -> list[TopicPartition]:
    # Not by asking for those topics: the embedded broker would create them.
    cluster = await consumer._client.fetch_all_metadata()
    tps: list[TopicPartition] = []
    for topic in topics:
        found = cluster.partitions_for_topic(topic)
        if not found:
            raise BrokerUnavailable(f"topic {topic} does not exist: have the workers declared it?")
        tps += [TopicPartition(topic, partition) for partition in sorted(found)]
    return tps


async def partitions_of(bootstrap: str, *topics: str) -> list[TopicPartition]:
    """Return the partitions of the topics.

    Raises BrokerUnavailable when one does not exist.
    """
    async with _Reader(bootstrap) as consumer:
        return await _partitions(consumer, *topics)


async def end_offsets(bootstrap: str, *topics: str) -> dict[TopicPartition, int]:
    """Return the offset after the last record of each partition of the topics.

    Raises BrokerUnavailable when a topic does not exist.
    """
    async with _Reader(bootstrap) as consumer:
        return await high_watermarks(consumer, await _partitions(consumer, *topics))


async def read_topic(
    bootstrap: str, topic: str, start: dict[TopicPartition, int] | None = None
) -> list[ConsumerRecord]:
    """Return every record that the topic holds now, partition by partition in order of offset.

    `start` leaves out what lies before (an `end_offsets` taken earlier).
    Raises BrokerUnavailable when the topic does not exist or cannot be read in a minute.
    """
    async with _Reader(bootstrap) as consumer:
        tps = await _partitions(consumer, topic)
        ends = await high_watermarks(consumer, tps)
        records: dict[TopicPartition, list[ConsumerRecord]] = {tp: [] for tp in tps}
        consumer.assign(tps)
        for tp, offset in (start or await consumer.beginning_offsets(tps)).items():
            if tp in records:
                consumer.seek(tp, offset)
        try:
            async with asyncio.timeout(READ_LIMIT):
                # The position also passes what compaction has removed.
                while left := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
                    for tp, found in (await consumer.getmany(*left, timeout_ms=200)).items():
                        records[tp].extend(found)
        except TimeoutError as error:
            raise BrokerUnavailable(f"{topic}: {left} not read in {READ_LIMIT} s") from error
        return [record for tp in tps for record in records[tp]]
