"""The sender's batches: decoded, given to a lane in slices, sent, acknowledged, settled."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import msgspec
from aiokafka import ConsumerRecord

from sender.business_time import BusinessTime
from sender.channels import Halted
from sender.lanes import Lane
from sender.suppressions import Suppressions
from sender.waits import Waits
from streams.dead_letters import dead_letter, place
from streams.delivery_log import DeliveryLog
from streams.errors import Moved, RedisUnavailable
from streams.jobs import Erase, Job, decode_delivery, decode_outbox
from streams.outgoing import Outgoing
from streams.processing import Done
from streams.records import Output, Results
from streams.revocations import Revocations
from streams.revocations import said as revoked
from streams.transport import Batch

logger = logging.getLogger(__name__)

# Enough that a call to Redis and an acknowledgement cost little a job, and few enough that others
# are told soon what became of them.
SLICE: Final = 100

T = TypeVar("T")


class Delivering:
    """What the sender does with each of its topics."""

    def __init__(
        self,
        outgoing: Outgoing,
        log: DeliveryLog,
        suppressions: Suppressions,
        revocations: Revocations,
        time: BusinessTime,
        halted: Callable[[Batch], bool],
    ) -> None:
        """Use those stores; `halted`: the worker stops, or the batch's partition is moved."""
        self._halted = halted
        self._outgoing = outgoing
        self._log = log
        self._suppressions = suppressions
        self._revocations = revocations
        self._time = time
        self.waits = Waits("the fold into Redis")

    async def deliver(self, lane: Lane, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Deliver the jobs of a batch; return when Kafka and the ledger have their outcomes.

        Halted, it ends within the slice in hand: whoever comes next takes that slice again, and
        finds in the ledger what has been done of it.
        """
        partition = batch.tp.partition
        halted = partial(self._halted, batch)
        done = int(records[0].offset)
        for part in _slices(records):
            if halted():
                break
            jobs, outputs = self._read(part, decode_outbox, partition)
            handle = partial(self._handle, lane, jobs, partition, halted)
            try:
                results = await lane.waits.for_redis(handle, halted)
            except RedisUnavailable as error:
                logger.warning("left to the next owner: %s", error)
                break
            await self._outgoing.send([*outputs, *results.outputs])
            await results.settle()
            if not results.whole:
                break
            done = int(part[-1].offset) + 1
        return Done(done)

    async def _handle(
        self, lane: Lane, jobs: Sequence[Job | Erase], partition: int, halted: Halted
    ) -> Results:
        return await lane.handle(jobs, self._time.now(partition, jobs), halted)

    async def fold_deliveries(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Fold the records of `deliveries` into Redis."""
        deliveries, outputs = self._read(records, decode_delivery, batch.tp.partition)
        await self._fold(batch, lambda: self._log.fold(deliveries))
        await self._outgoing.send(outputs)
        return Done(records[-1].offset + 1)

    async def fold_suppressions(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Fold the records of `suppressions` into Redis."""
        rows = [((record.key or b"").decode(errors="replace"), record.value) for record in records]
        await self._fold(batch, lambda: self._suppressions.fold(rows))
        return Done(records[-1].offset + 1)

    async def fold_revocations(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Fold the records of `revocations` into Redis."""
        await self._fold(batch, lambda: self._revocations.fold(revoked(records)))
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

    async def _fold(self, batch: Batch, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await self.waits.for_redis(call, partial(self._halted, batch))
        except RedisUnavailable as error:
            raise Moved(f"left to the next owner: {error}") from error


def _slices(records: Sequence[ConsumerRecord]) -> Iterator[Sequence[ConsumerRecord]]:
    for index in range(0, len(records), SLICE):
        yield records[index : index + SLICE]
