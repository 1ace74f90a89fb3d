"""The sender's batches: decoded, given to a lane in slices, sent, acknowledged, settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import msgspec
from aiokafka import ConsumerRecord

from sender.business_time import BusinessTime
from sender.lanes import Lane
from sender.suppressions import Suppressions
from streams.dead_letters import dead_letter, place
from streams.delivery_log import DeliveryLog
from streams.errors import RedisUnavailable
from streams.jobs import Erase, Job, decode_delivery, decode_outbox
from streams.outgoing import Outgoing
from streams.processing import Done
from streams.records import Output, Results
from streams.transport import Batch

logger = logging.getLogger(__name__)

# Enough that a call to Redis and an acknowledgement cost little a job, and few enough that what a
# kill repeats is bounded: these many a partition are in flight at most.
SLICE: Final = 100
PATIENCE: Final = 0.5

T = TypeVar("T")


class Delivering:
    """What the sender does with each of its topics."""

    def __init__(
        self,
        outgoing: Outgoing,
        log: DeliveryLog,
        suppressions: Suppressions,
        time: BusinessTime,
        interrupted: Callable[[], bool],
    ) -> None:
        """Use those stores; `interrupted` says that the worker stops or its partitions move."""
        self._interrupted = interrupted
        self._outgoing = outgoing
        self._log = log
        self._suppressions = suppressions
        self._time = time
        #: What keeps the sender back at the moment, for /health/ready.
        self.waits_for: str | None = None

    async def deliver(self, lane: Lane, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Deliver the jobs of a batch; return when Kafka and the ledger have their outcomes.

        Interrupted, it ends with the slice in hand: whoever comes next goes on from there.
        """
        partition = batch.tp.partition
        done = int(records[0].offset)
        for part in _slices(records):
            if self._interrupted() and done > records[0].offset:
                break
            jobs, outputs = self._read(part, decode_outbox, partition)
            results = await self._patiently(partial(self._handle, lane, jobs, partition))
            await self._outgoing.send([*outputs, *results.outputs])
            await results.settle()
            done = int(part[-1].offset) + 1
        return Done(done)

    async def _handle(self, lane: Lane, jobs: Sequence[Job | Erase], partition: int) -> Results:
        return await lane.handle(jobs, self._time.now(partition, jobs))

    async def fold_deliveries(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Fold the records of `deliveries` into Redis."""
        deliveries, outputs = self._read(records, decode_delivery, batch.tp.partition)
        await self._patiently(lambda: self._log.fold(deliveries))
        await self._outgoing.send(outputs)
        return Done(records[-1].offset + 1)

    async def fold_suppressions(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Fold the records of `suppressions` into Redis."""
        rows = [((record.key or b"").decode(errors="replace"), record.value) for record in records]
        await self._patiently(lambda: self._suppressions.fold(rows))
        return Done(records[-1].offset + 1)

    def _read(
        self, records: Sequence[ConsumerRecord], decode: Callable[[bytes], T], partition: int
    ) -> tuple[list[T], list[Output]]:
        """Return what the records say, and a dead letter for each that says nothing."""
        found: list[T] = []
        dead: list[Output] = []
        for record in records:
            try:
                found.append(decode(record.value or b""))
            except msgspec.DecodeError as error:
                at: datetime = self._time.now(partition)
                logger.error("%s cannot be read: %s", place(record), error)
                dead.append(dead_letter(record, error, at, place(record)))
        return found, dead

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call again and again while Redis is away: nothing is claimed, nothing lost."""
        while True:
            try:
                result = await call()
            except RedisUnavailable as error:
                if self.waits_for is None:
                    logger.warning("the sender waits: %s", error)
                self.waits_for = str(error)
                await asyncio.sleep(PATIENCE)
            else:
                self.waits_for = None
                return result


def _slices(records: Sequence[ConsumerRecord]) -> Iterator[Sequence[ConsumerRecord]]:
    for index in range(0, len(records), SLICE):
        yield records[index : index + SLICE]
