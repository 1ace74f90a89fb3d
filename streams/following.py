"""Where each partition stands, and which records of a batch come next: nothing is left out.

A batch is taken only if it goes on where `processed` stands. If it starts later, `start` (where the
partition stood before the fetch) tells a gap that the log itself has (compaction, control records)
from records that were lost on the way; those are fetched again.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from streams.batches import Batch

logger = logging.getLogger(__name__)


class Following(driver.Consumer):
    """Says which records are new, and seeks back to what was lost."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: The next offset to process, by partition: what is committed.
        self.processed: dict[TP, int] = {}
        #: What may be committed where it is less: what was processed in memory alone.
        self.durable: dict[TP, int] = {}
        #: Batches handed over and not yet returned, by partition.
        self.outstanding: Counter[TP] = Counter()
        #: Topics that nothing more is taken from until the worker is started again.
        self.stopped: set[str] = set()
        #: Lost ranges that were fetched again.
        self.refetched = 0
        #: Records that retention had deleted before they were processed.
        self.expired = 0
        self._epoch: defaultdict[TP, int] = defaultdict(int)

    async def fresh(self, batch: Batch) -> Sequence[ConsumerRecord]:
        """Return those records of the batch that are to be processed now, in order.

        None are when the batch belongs to an older assignment, or when records before it were lost
        on the way; these are then fetched again.
        """
        tp = batch.tp
        if (
            not self.flow_active
            or self.app.should_stop
            or batch.generation != self.app.consumer_generation_id
            or tp not in self.assignment()
            or tp.topic in self.stopped
        ):
            return ()
        expected = self.processed.get(tp)
        first = batch.records[0].offset
        if expected is None or first == expected:
            return batch.records
        if first < expected:
            return [record for record in batch.records if record.offset >= expected]
        if batch.start is not None and batch.start <= expected:
            return batch.records
        # Dropping by epoch comes last: what the latest seek has brought must not be dropped.
        if batch.epoch == self._epoch[tp]:
            await self._refetch(tp, expected)
        return ()

    async def _look(self, tp: TP, start: int, end: int | None, epoch: int) -> None:
        """See whether the last records were lost, or the log has none there, if none came.

        Nothing need follow that would show it.
        """
        expected = self.processed.get(tp)
        if expected is None or self.outstanding[tp] or epoch != self._epoch[tp]:
            return
        if start > expected:
            await self._refetch(tp, expected)
        elif start == expected and end is not None and end > start:
            self._go_on(tp, expected, self.durable.get(tp, expected), end)

    async def _refetch(self, tp: TP, expected: int) -> None:
        """Seek back to what is missing, or past what retention has deleted."""
        try:
            await self._seek_back(tp, expected)
        except KafkaError as error:
            # Moved away meanwhile: whoever has it now begins at the commit.
            logger.info("%s: not fetched again: %s", tp, error)

    async def _seek_back(self, tp: TP, expected: int) -> None:
        earliest = (await self.earliest_offsets(tp)).get(tp, 0)
        if earliest > expected:
            # Without this bound the seek would be answered "out of range" for ever.
            logger.error(
                "%s: offsets %d to %d were deleted by retention before they were processed",
                tp,
                expected,
                earliest - 1,
            )
            self.expired += earliest - expected
            self.processed[tp] = expected = earliest
        await self._seek_again(tp, expected)

    async def _seek_again(self, tp: TP, expected: int) -> None:
        self.refetched += 1
        logger.warning("%s: records from offset %d were lost on the way: again", tp, expected)
        # In the consumer's thread: a plain seek races with the fetch under way there, which then
        # moves the position forward again.
        await self.seek_wait({tp: expected})
        self._epoch[tp] += 1

    async def follows(self, batch: Batch, expected: int) -> bool:
        """Tell whether a changelog's batch goes on there; else read again what was lost before it.

        Rows that are lost would be missing from the tables without a word.
        """
        tp = batch.tp
        start = batch.records[0].offset if batch.start is None else batch.start
        if min(start, batch.records[0].offset) <= expected:
            return True
        try:
            earliest = (await self.earliest_offsets(tp)).get(tp, 0)
            if start <= earliest:
                return True
            if batch.epoch == self._epoch[tp]:
                await self._seek_again(tp, max(expected, earliest))
        except KafkaError as error:
            # Moved away meanwhile: whoever has it now reads it all.
            logger.info("%s: not read again: %s", tp, error)
        return False

    def done(self, batch: Batch, processed: int | None = None, durable: int | None = None) -> None:
        """Take a batch back; `processed` is the offset to go on from, and to commit.

        `durable` is given where less may be committed: what is kept in memory alone is read again
        after a restart.
        """
        if batch.generation != self.app.consumer_generation_id:
            # Of an older assignment: what was outstanding then was forgotten with it.
            return
        if self.outstanding[batch.tp] > 0:
            self.outstanding[batch.tp] -= 1
        if processed is not None:
            whole = processed > batch.records[-1].offset
            end = batch.end if whole else None
            self._go_on(batch.tp, processed, processed if durable is None else durable, end)

    def _go_on(self, tp: TP, processed: int, durable: int, end: int | None) -> None:
        """Let a partition go on from there; up to `end` the log has no more records."""
        past = processed if end is None else max(processed, end)
        self.processed[tp] = past
        self.durable[tp] = past if durable == processed else durable
