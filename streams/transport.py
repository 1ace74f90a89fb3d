"""A Kafka transport for Faust whose unit is the batch and whose commits follow what was processed.

Faust hands records over one by one and commits what was acknowledged; both lose records when a
worker is killed or partitions move (docs/architecture.md has the figures). Here one stream item is
up to `MAX_BATCH` consecutive records of one partition, and the offset that is committed is
`processed`, moved by the boundary alone (streams/processing.py).

The rule that loses nothing: a batch is taken only if it goes on where `processed` stands. If it
starts later, `start` (where the partition stood before the fetch) tells a gap that the log itself
has (compaction, control records) from records that were lost on the way; those are fetched again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

logger = logging.getLogger(__name__)

# Seconds: noticed within six that a worker is gone; its heartbeats come once a second.
SESSION: Final = 6.0
# Enough to spread the cost of one hand-over (about 300 us) thin, and few enough that a batch is
# decided in milliseconds, so that a revoke or another topic of the partition never waits long.
MAX_BATCH: Final = 500
# One being processed and one waiting: enough to never idle, and no queue of Faust's ever fills.
MAX_OUTSTANDING: Final = 2
# What a reader takes of transactions: none that are open or were aborted.
COMMITTED: Final = "read_committed"
# How often a fetch looks again at partitions that it left out because they were busy.
BUSY_POLL: Final = 0.02
# Seconds a fetch waits for records when no partition is left out.
IDLE_POLL: Final = 1.0
# Seconds for which records that wait here hold up the next fetch from their broker. aiokafka's
# 0.1 s made every partition wait for one that was stuck (p99 of the others: 100 to 128 ms).
PREFETCH_BACKOFF: Final = 0.02
# Milliseconds that a fetch beside such records waits at the broker: until it is back, what they
# belong to cannot be fetched.
BESIDE_WAIT: Final = 20


class Batch(NamedTuple):
    """Consecutive records of one partition, as one item of a stream.

    `start` is where the partition stood before the fetch, None if that is unknown; `epoch` counts
    the seeks back that had been made by then; `generation` is the consumer group's; `end` is where
    the partition stood after it, beyond the last record where the log has none (markers).
    """

    tp: TP
    records: Sequence[ConsumerRecord]
    start: int | None
    epoch: int
    generation: int
    end: int | None = None


class BatchSchema(faust.Schema[Any, Any]):
    """A schema that passes a batch through: decoding is the boundary's work."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> None:
        """Have no key: a batch holds many."""

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        """Return the batch as it is."""
        return message.value


class _Fetched(dict[Any, Any]):
    """Records by partition, and where each partition stood before they were fetched and after."""

    def __init__(
        self, records: Any = (), start: Mapping[TP, int] = {}, end: Mapping[TP, int] = {}
    ) -> None:
        super().__init__(records)
        self.start = start
        self.end = end


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches; it alone may look at the positions between two fetches."""

    async def on_start(self) -> None:
        """Start the consumer, and keep what waits here from holding up what does not."""
        await super().on_start()
        fetcher: Any = self._ensure_consumer()._fetcher
        plan = fetcher._get_actions_per_node

        def plan_beside(assignment: Any) -> Any:
            patient = fetcher._fetch_max_wait_ms
            if fetcher._records:
                fetcher._fetch_max_wait_ms = min(patient, BESIDE_WAIT)
            try:
                return plan(assignment)
            finally:
                fetcher._fetch_max_wait_ms = patient

        fetcher._prefetch_backoff = PREFETCH_BACKOFF
        fetcher._get_actions_per_node = plan_beside

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        # Faust fixes it to read_uncommitted: an event of a transaction that was aborted never was.
        consumer._isolation_level = COMMITTED
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> _Fetched:
        start = _positions(consumer)
        records = await super()._fetch_records(consumer, *args, **options)
        return _Fetched(records, start, _positions(consumer))


def _positions(consumer: Any) -> dict[TP, int]:
    """Return where each partition stands; to be called in the consumer's thread."""
    positions: dict[TP, int] = {}
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is not None:
        for tp in assignment.tps:
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position:
                positions[TP(tp.topic, tp.partition)] = state.position
    return positions


class Consumer(driver.Consumer):
    """Fetches batches, says which of their records are new, and commits what was processed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: The next offset to process, by partition: what is committed.
        self.processed: dict[TP, int] = {}
        #: What may be committed where it is less: what was processed in memory alone.
        self.durable: dict[TP, int] = {}
        #: Batches handed over and not yet returned, by partition.
        self.outstanding: Counter[TP] = Counter()
        #: Lost ranges that were fetched again.
        self.refetched = 0
        #: Records that retention had deleted before they were processed.
        self.expired = 0
        self._epoch: defaultdict[TP, int] = defaultdict(int)
        self._seeking = asyncio.Lock()
        self._busy = 0
        #: Set while no batch is being processed.
        self.idle = asyncio.Event()
        self.idle.set()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- fetching

    def _fetchable(self) -> set[TP]:
        active: set[TP] = self._get_active_partitions()
        if self.app.rebalancing:
            # Faust empties its queues once more when it lets the flow go on: what had been fetched
            # by then would be lost, and outstanding for ever.
            return {tp for tp in active if self._is_changelog_tp(tp)}
        return {tp for tp in active if self.outstanding[tp] < MAX_OUTSTANDING}

    async def _wait_next_records(self, timeout: float) -> tuple[_Fetched, set[TP]]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        active = self._get_active_partitions()
        fetchable = self._fetchable()
        if not fetchable:
            # Nothing is assigned yet, or every partition is busy.
            await self.sleep(BUSY_POLL if active else 0.1)
            return _Fetched(), fetchable
        wait = timeout if len(fetchable) == len(active) else BUSY_POLL
        fetched = await self._getmany(active_partitions=fetchable, timeout=wait)
        assert isinstance(fetched, _Fetched)
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
            if not self._is_changelog_tp(tp) and self.app.consumer_generation_id == generation:
                await self._look(tp, fetched.start[tp], fetched.end.get(tp), epochs.get(tp, 0))

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

    def _go_on(self, tp: TP, processed: int, durable: int, end: int | None) -> None:
        """Let a partition go on from there; up to `end` the log has no more records."""
        past = processed if end is None else max(processed, end)
        self.processed[tp] = past
        self.durable[tp] = past if durable == processed else durable

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

    # -- what the boundary asks and tells

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

    @property
    def in_flight(self) -> int:
        """How many batches, and slices of other work, are being processed now."""
        return self._busy

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Hold off a revoke, a commit at its end and a stop while a batch is in flight."""
        self._busy += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self.idle.set()

    # -- committing

    async def wait_empty(self) -> None:
        """Wait for the batches in flight, not for those that wait, and commit."""
        if self._busy:
            # Who waits until the rebalance's end is put out of the group, and cannot commit.
            limit = self.app.conf.broker_rebalance_timeout / 2
            try:
                await asyncio.wait_for(self.idle.wait(), limit)
            except TimeoutError:
                logger.warning("a batch was still in flight after %s s: left to its owner", limit)
        await self.commit_and_end_transactions()

    async def perform_seek(self) -> None:
        """Go back to the committed offsets, to the beginning where there are none.

        Both the fetcher and the recovery call it, at times at once: in turn, and each ends with a
        seek to where `processed` stands. Else one would set `processed` back behind a position that
        the other has let go on, and nothing would come until another record does.
        """
        async with self._seeking:
            await super().perform_seek()
            self.outstanding.clear()
            self.processed.clear()
            self.durable.clear()
            mine = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
            for tp in mine:
                offset = self._committed_offset[tp]
                if offset is not None and offset >= 0:
                    self.processed[tp] = offset
            # Else a batch that is dropped before the first commit would never be missed.
            new = [tp for tp in mine if tp not in self.processed]
            if new:
                for key, offset in (await self.earliest_offsets(*new)).items():
                    self.processed[TP(key.topic, key.partition)] = offset
            places = {tp: self.processed[tp] for tp in mine if tp in self.processed}
            if places:
                await self.seek_wait(places)
            for tp in places:
                self._epoch[tp] += 1

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self.processed))

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        if not self.processed:
            # Perhaps not even started: there is no assignment to ask for.
            return {}
        assignment = self.assignment()
        offsets = {tp: self.durable.get(tp, self.processed[tp]) for tp in tps if tp in assignment}
        return {
            tp: offset
            for tp, offset in offsets.items()
            if offset > (self._committed_offset[tp] or 0)
        }

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        # Everything before `processed` is acknowledged: there is nothing to flush first.
        committed: bool = await self._commit(offsets)
        if committed:
            self._committed_offset.update(offsets)
        return committed

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Book no gaps: `fresh` knows them."""


class Producer(driver.Producer):
    """A producer whose retries cannot write a record twice or out of order (KIP-98)."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Faust's aiokafka transport with batches, and consumers beside the group."""

    Consumer = Consumer
    Producer = Producer

    def reader(self, group: str | None = None) -> AIOKafkaConsumer:
        """Return a consumer that joins no group, for a topic that every worker reads whole.

        With `group` it can be asked what that group has committed.
        """
        return AIOKafkaConsumer(
            bootstrap_servers=driver.server_list(self.url, self.default_port),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=COMMITTED,
        )

    async def read(self, topic: str, partition: int, offsets: range) -> list[ConsumerRecord]:
        """Return what lies at those offsets now; compaction may have taken some of it."""
        tp = TopicPartition(topic, partition)
        consumer = self.reader()
        found: list[ConsumerRecord] = []
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, offsets.start)
            while await consumer.position(tp) < offsets.stop:
                for records in (await consumer.getmany(tp, timeout_ms=1000)).values():
                    found += [record for record in records if record.offset in offsets]
        finally:
            await consumer.stop()
        return found

    async def end_offsets(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return the offset after the last record of each partition."""
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
