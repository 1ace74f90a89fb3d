"""Follows topics to their true end, by fetches of its own that wait for nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.errors import BrokerUnavailable
from streams.logs import FETCH_BYTES, FETCH_WAIT_MS, PARTITION_BYTES

#: A topic and a partition.
Place = tuple[str, int]


class Entry(NamedTuple):
    """One record as it lies in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Tail:
    """Reads every record of the topics once and knows where each partition ends.

    A consumer learns of new records when its broker wakes it; this asks, so that "there is nothing
    more" is an observation and not a guess.
    """

    def __init__(
        self, bootstrap: str, topics: Iterable[str], hear: Callable[[Entry], None]
    ) -> None:
        self._client = AIOKafkaClient(bootstrap_servers=bootstrap)
        self._topics = list(topics)
        self._hear = hear
        #: The offset after the last record of each partition, as of the last `read`.
        self.ends: dict[Place, int] = {}
        #: The same, summed by topic.
        self.ends_of: Counter[str] = Counter()

    async def start(self) -> None:
        """Find the partitions; raises BrokerUnavailable for a topic that is not there."""
        await self._client.bootstrap()
        # Not by asking for the topics: the embedded broker would make them.
        there = await self._client.fetch_all_metadata()
        for topic in self._topics:
            partitions = there.partitions_for_topic(topic)
            if not partitions:
                raise BrokerUnavailable(f"topic {topic} does not exist: have the workers made it?")
            self.ends |= {(topic, partition): 0 for partition in sorted(partitions)}
        await self._client.set_topics(self._topics)

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read(self) -> int:
        """Read all that is new, to the end; return how many records that was."""
        number = 0
        behind = set(self.ends)
        while behind:
            behind, found = await self._fetch(behind)
            number += found
        return number

    async def _fetch(self, places: set[Place]) -> tuple[set[Place], int]:
        nodes: defaultdict[Any, defaultdict[str, list[tuple[int, int, int]]]]
        nodes = defaultdict(lambda: defaultdict(list))
        for topic, partition in places:
            node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
            offset = self.ends[topic, partition]
            nodes[node][topic].append((partition, offset, PARTITION_BYTES))
        behind: set[Place] = set()
        number = 0
        for node, wanted in nodes.items():
            request = FetchRequest(FETCH_WAIT_MS, 1, FETCH_BYTES, 0, list(wanted.items()))
            response = await self._client.send(node, request)
            for topic, answers in response.topics:
                for partition, error, watermark, *_, data in answers:
                    if error:
                        raise for_code(error)(f"{topic}/{partition}")
                    number += self._take(topic, partition, data)
                    if self.ends[topic, partition] < watermark:
                        behind.add((topic, partition))
        return behind, number

    def _take(self, topic: str, partition: int, data: bytes) -> int:
        number = 0
        for record in _records(data):
            if record.offset < self.ends[topic, partition]:
                # A fetch begins with the whole batch that its offset lies in.
                continue
            self._hear(Entry(topic, partition, record.offset, record.key, record.value))
            self.ends_of[topic] += record.offset + 1 - self.ends[topic, partition]
            self.ends[topic, partition] = record.offset + 1
            number += 1
        return number


def _records(data: bytes) -> Iterator[Any]:
    batches = MemoryRecords(data)
    while batches.has_next():
        batch = batches.next_batch()
        if batch is not None and not getattr(batch, "is_control_batch", False):
            yield from batch
