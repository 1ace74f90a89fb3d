"""A way out to Kafka for commands: records acknowledged by all replicas, where their keys live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.declaring import bootstrap
from streams.errors import BrokerUnavailable
from streams.outgoing import ACKNOWLEDGED_WITHIN
from streams.partitions import partition_of
from streams.records import Header, Output
from streams.settings import Settings
from streams.topics import OUTPUT_LIMIT


class Raw(NamedTuple):
    """One record as bytes; without `partition` it goes where its key lives."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Sequence[Header] = ()
    timestamp_ms: int | None = None


Write = Callable[[Iterable[Raw]], Awaitable[None]]


def raw(output: Output) -> Raw:
    """Return an output as bytes."""
    key = None if output.key is None else output.key.encode()
    return Raw(output.topic.name, key, *output[2:])


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[Write]:
    """Give a function that sends records, in order for each partition, and waits for all.

    It raises BrokerUnavailable where Kafka does not acknowledge them within 30 s. The topics must
    exist: ask for their partitions first.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap(settings),
        acks="all",
        # The embedded broker has none; a record that a retry writes twice is one event for us.
        enable_idempotence=settings.broker.startswith("kafka://"),
        max_request_size=2 * OUTPUT_LIMIT,
    )

    async def write(records: Iterable[Raw]) -> None:
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
                await asyncio.gather(*[await _send(producer, record) for record in records])
        except (TimeoutError, KafkaError) as error:
            raise BrokerUnavailable(
                f"Kafka did not acknowledge what was sent: {error!r}"
            ) from error

    try:
        await producer.start()
        yield write
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, record: Raw) -> asyncio.Future[object]:
    partition = record.partition
    if partition is None:
        known = len(await producer.partitions_for(record.topic))
        partition = partition_of((record.key or b"").decode(), known)
    sent: asyncio.Future[object] = await producer.send(
        record.topic,
        record.value,
        record.key,
        partition=partition,
        timestamp_ms=record.timestamp_ms,
        headers=list(record.headers),
    )
    return sent
