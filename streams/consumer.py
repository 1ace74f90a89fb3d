"""The consumer of a worker: fetches batches of what is not busy, and hands them to Faust."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types.tuples import TP, ConsumerMessage

from streams.batches import MAX_BATCH, Batch
from streams.committing import Committing
from streams.fetching import ConsumerThread, Fetched

logger = logging.getLogger(__name__)

# One being processed and one waiting: enough to never idle, and no queue of Faust's ever fills.
MAX_OUTSTANDING: Final = 2
# How often a fetch looks again at partitions that it left out because they were busy.
BUSY_POLL: Final = 0.02
# Seconds a fetch waits for records when no partition is left out.
IDLE_POLL: Final = 1.0


class Consumer(Committing):
    """Fetches batches, says which of their records are new, and commits what was processed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rows_came = False

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def assignment(self) -> set[TP]:
        """Return what is assigned: nothing before the consumer runs, of which Faust makes an error.

        The pages are up by then.
        """
        try:
            return set(super().assignment())
        except ConsumerNotStarted:
            return set()

    def _wanted(self) -> set[TP]:
        active: set[TP] = self._get_active_partitions()
        if self.app.rebalancing:
            # Faust empties its queues once more when it lets the flow go on: what had been fetched
            # by then would be lost, and outstanding for ever.
            return {tp for tp in active if self._is_changelog_tp(tp)}
        return {tp for tp in active if tp.topic not in self.stopped} if self.stopped else active

    def _fetchable(self) -> set[TP]:
        return {tp for tp in self._wanted() if self.outstanding[tp] < MAX_OUTSTANDING}

    async def _wait_next_records(self, timeout: float) -> tuple[Fetched, set[TP]]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        active = self._wanted()
        fetchable = self._fetchable()
        if not fetchable:
            # Nothing is assigned yet, or every partition is busy.
            await self.sleep(BUSY_POLL if active else 0.1)
            return Fetched(), fetchable
        if self._rows_came:
            # A standby's tables are long, and a fetch is of one partition as long as it lasts.
            fetchable = {tp for tp in fetchable if not self._is_changelog_tp(tp)} or fetchable
        whole = len(fetchable) == len(active) and not self.app.rebalancing
        wait = timeout if whole else BUSY_POLL
        fetched = await self._getmany(active_partitions=fetchable, timeout=wait)
        assert isinstance(fetched, Fetched)
        self._rows_came = any(self._is_changelog_tp(tp) for tp in fetched)
        return fetched, fetchable

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Fetch once and yield a batch for each run of up to MAX_BATCH records."""
        epochs = dict(self._epoch)
        fetched, asked = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if self.should_stop:
            return
        if not self.flow_active:
            try:
                await self.perform_seek()
            except KafkaError as error:
                # Partitions are being moved under it: Faust seeks again before the flow goes on.
                logger.info("no seek while partitions are moved: %s", error)
            return
        for key, records in fetched.items():
            tp = TP(key.topic, key.partition)
            start = fetched.start.get(tp)
            for index in range(0, len(records), MAX_BATCH):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                part = records[index : index + MAX_BATCH]
                last = index + MAX_BATCH >= len(records)
                end = fetched.end.get(tp) if last else None
                batch = Batch(tp, part, start, epochs.get(tp, 0), generation, end)
                if not self._is_changelog_tp(tp):
                    self.outstanding[tp] += 1
                yield tp, self._envelope(batch)
                start = part[-1].offset + 1
        for tp in asked & fetched.start.keys() - fetched.keys():
            start, end = fetched.start[tp], fetched.end.get(tp)
            if start == end == self.processed.get(tp):
                # At rest, as nearly all are after nearly every fetch.
                continue
            if not self._is_changelog_tp(tp) and self.app.consumer_generation_id == generation:
                await self._look(tp, start, end, epochs.get(tp, 0))

    def _envelope(self, batch: Batch) -> ConsumerMessage:
        last = batch.records[-1]
        return ConsumerMessage(
            batch.tp.topic,
            batch.tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            batch,  # type: ignore[arg-type]  # the unit of a stream is the batch
            None,
            0,
            0,
            batch.tp,
            generation_id=batch.generation,
        )

    async def _drain_messages(self, fetcher: Any) -> None:
        # Faust's own loop drops what lies before its read offset, which a record still in flight
        # moves forward after a seek back, and books gaps: both lose records.
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self.sleep(0)
                async for tp, message in self.getmany(timeout=IDLE_POLL):
                    if self._is_changelog_tp(tp):
                        read = self._read_offset[tp]
                        if read is not None and message.offset < read:
                            continue
                    await self.wait_first(self.callback(message), self.suspend_flow.wait())
                    self._read_offset[tp] = message.offset
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def verify_all_partitions_active(self) -> None:
        """Look for no stalled streams: a busy partition is left out on purpose."""
