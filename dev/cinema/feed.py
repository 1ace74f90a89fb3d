"""Sends the story's records and ticks, as a producer that knows Kafka's partitioner."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from dev.cinema.records import Record
from streams.partitions import partition_of
from streams.topics import CLOCK, INPUT_LIMIT

# More partitions' batches than there are: each is a record batch of its own in one request.
BATCH: Final = INPUT_LIMIT


class Feed:
    """Sends records in batches, each with its own time, and waits for the acknowledgements."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self.partitions = partitions
        #: How many records were sent, by topic.
        self.sent: defaultdict[str, int] = defaultdict(int)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            max_batch_size=BATCH,
            max_request_size=4 * BATCH,
        )

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is left, and disconnect."""
        await self._producer.stop()

    async def send(self, records: Iterable[Record]) -> None:
        """Send records, of each partition in order, and wait until the broker has them."""
        batches: dict[tuple[str, int], Any] = {}
        for record in records:
            place = record.topic, self._partition(record)
            if place not in batches:
                batches[place] = self._producer.create_batch()
            added = batches[place].append(
                timestamp=int(record.at.timestamp() * 1000),
                key=None if record.key is None else record.key.encode(),
                value=record.value,
            )
            if added is None:
                raise ValueError(f"a step's records for {place} do not fit one batch")
            self.sent[record.topic] += 1
        sent = [
            await self._producer.send_batch(batch, topic, partition=partition)
            for (topic, partition), batch in batches.items()
        ]
        await asyncio.gather(*sent)

    async def tick(self, ticks: Iterable[datetime]) -> None:
        """Tell every partition the time."""
        await self.send(
            Record(CLOCK.name, None, msgspec.json.encode({"at": at}), at, partition)
            for at in ticks
            for partition in range(self.partitions)
        )

    def _partition(self, record: Record) -> int:
        if record.partition is not None:
            return record.partition
        if record.key is None:
            # As clients do it: anywhere. By the time, so that the story stays the same.
            return int(record.at.timestamp()) % self.partitions
        return partition_of(record.key, self.partitions)
