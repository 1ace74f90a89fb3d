"""Sending with every acknowledgement awaited: the one way out to Kafka.

Records are built into record batches by topic and partition and sent as such: a record batch is
written whole or not at all, and costs one append instead of hundreds.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import faust
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from streams.errors import BrokerUnavailable, TooLarge
from streams.partitions import partition_of
from streams.records import Header, Output
from streams.topics import OUTPUT_LIMIT

logger = logging.getLogger(__name__)

# A broker away for ten seconds is waited for; one away for longer than this ends the worker, which
# starts again from what was committed.
ACKNOWLEDGED_WITHIN: Final = 30.0
# sysexits.h, EX_TEMPFAIL: start me again.
EXIT_UNACKNOWLEDGED: Final = 75
# What Kafka's record batch v2 adds to one record at most: lengths, deltas and the batch's header.
OVERHEAD: Final = 512
# A character's bytes at most: keys are short, and encoding each to learn its length is not free.
UTF8: Final = 4
# Batches for topics of ours are kept under this, well inside every topic's limit.
FULL: Final = 1 << 20


def give_up(reason: str) -> None:
    """End the process at once: what was not acknowledged is done again after the start."""
    logger.critical("%s: the worker ends and is to be started again", reason)
    os._exit(EXIT_UNACKNOWLEDGED)


class Outgoing:
    """Sends records of an app and waits for Kafka to have them."""

    def __init__(
        self,
        app: faust.App,
        partitions: int,
        fatal: Callable[[str], None] = give_up,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Send as that app; `fatal` ends the process, `alive` does so if it was paused."""
        self._app = app
        self._alive = alive
        self._partitions = partitions
        self._fatal = fatal
        #: The last offset acknowledged, by topic and partition.
        self.acknowledged: dict[tuple[str, int], int] = {}

    @staticmethod
    def check(output: Output) -> None:
        """Raise TooLarge for a record that its topic would refuse."""
        size = len(output.value or b"") + UTF8 * len(output.key or "") + OVERHEAD
        if size > output.topic.max_message_bytes:
            raise TooLarge(
                f"a record of {size} bytes is over the limit of topic {output.topic.name}, "
                f"{output.topic.max_message_bytes}: send less"
            )

    async def send(self, outputs: Iterable[Output]) -> None:
        """Send the records, in order for each partition, and wait until Kafka has all of them."""
        groups: dict[tuple[str, int], list[Output]] = {}
        for output in outputs:
            partition = output.partition
            if partition is None:
                partition = partition_of(output.key or "", self._partitions)
            groups.setdefault((output.topic.name, partition), []).append(output)
        builders = [
            (place, builder) for place, group in groups.items() for builder in _built(group)
        ]
        await self.acknowledge(builders)

    async def send_whole(
        self,
        topic: str,
        partition: int,
        rows: Sequence[tuple[bytes, bytes | None]],
        headers: Sequence[Header] = (),
    ) -> int:
        """Send rows as one record batch, written whole or not at all; return its offset."""
        builder = BatchBuilder(OUTPUT_LIMIT, 0)
        for key, value in rows:
            if builder.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                raise TooLarge(f"{len(rows)} changes of partition {partition} are over 4 MiB")
        builder.close()
        (metadata,) = await self.acknowledge([((topic, partition), builder)])
        return int(metadata.offset)

    async def acknowledge(
        self, builders: Sequence[tuple[tuple[str, int], BatchBuilder]]
    ) -> list[RecordMetadata]:
        """Send built batches and wait for all; what fails ends the worker."""
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
                futures = await self._submit(builders)
                found: list[RecordMetadata] = await asyncio.gather(*futures)
        except (TimeoutError, KafkaError) as error:
            self._fatal(f"Kafka did not acknowledge {len(builders)} batches: {error!r}")
            raise BrokerUnavailable("what was sent was not acknowledged") from error
        for (place, builder), metadata in zip(builders, found, strict=True):
            self.acknowledged[place] = metadata.offset + builder.record_count() - 1
        return found

    async def try_to_send(self, outputs: Sequence[Output], within: float) -> list[tuple[int, int]]:
        """Send for a caller who is told: return partition and offset of each record, in order.

        Raises BrokerUnavailable after `within` seconds; the records may have been written then.
        """
        try:
            async with asyncio.timeout(within):
                builders = []
                for output in outputs:
                    partition = output.partition
                    if partition is None:
                        partition = partition_of(output.key or "", self._partitions)
                    (builder,) = _built([output])
                    builders.append(((output.topic.name, partition), builder))
                futures = await self._submit(builders)
                found = await asyncio.gather(*futures)
        except (TimeoutError, KafkaError) as error:
            raise BrokerUnavailable(
                f"Kafka did not answer within {within} s: the records may have been written; "
                "send them again with the same event_id"
            ) from error
        return [(metadata.partition, metadata.offset) for metadata in found]

    async def _submit(
        self, builders: Sequence[tuple[tuple[str, int], BatchBuilder]]
    ) -> list[asyncio.Future[RecordMetadata]]:
        producer: Any = self._app.producer._producer  # type: ignore[attr-defined]
        if producer is None:
            raise BrokerUnavailable("the producer has not started yet")
        self._alive()
        return [
            await producer.send_batch(builder, topic, partition=partition)
            for (topic, partition), builder in builders
        ]


def _built(outputs: Sequence[Output]) -> list[BatchBuilder]:
    """Return the records as closed batches, each within what a topic takes."""
    builders: list[BatchBuilder] = []
    size = FULL
    for output in outputs:
        length = len(output.value or b"") + OVERHEAD
        if size + length > FULL:
            builders.append(BatchBuilder(OUTPUT_LIMIT, 0))
            size = 0
        size += length
        builders[-1].append(
            timestamp=output.timestamp_ms,
            key=None if output.key is None else output.key.encode(),
            value=output.value,
            headers=list(output.headers),
        )
    for builder in builders:
        # An open batch would take records of other senders, and share their fate.
        builder.close()
    return builders
