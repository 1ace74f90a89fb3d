"""The tables of all partitions that this worker owns, as one Faust table with one changelog.

Faust recovers it: the changelog's records come in batches (streams/transport.py) and are loaded
into the partition's tables. What is written goes out in one record batch for each batch of events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import faust
from aiokafka import ConsumerRecord
from faust.types.tuples import TP

from streams.errors import Moved
from streams.outgoing import Outgoing, give_up
from streams.ownership import FENCE, Ownership, epoch_of, header
from streams.topics import Topic
from streams.transport import Batch, BatchSchema, Consumer
from streams.transport import Transport as CinemaTransport
from tables.films import Films
from tables.partition import Tables

logger = logging.getLogger(__name__)

# Rows in one record batch when they are written again: far under its limit.
REWRITTEN: Final = 500
# A row that a paused owner wrote late must be seen by whoever recovers before compaction drops what
# it undercut (docs/architecture.md, "Paused owners").
COMPACTION_LAG_MS: Final = 3_600_000


class State(faust.Table[bytes, bytes]):
    """Tables by partition, recovered from and written to one compacted changelog."""

    def __init__(
        self,
        app: faust.App,
        *,
        films: Films,
        partitions: int,
        default_timezone: str,
        fatal: Callable[[str], None] = give_up,
    ) -> None:
        super().__init__(
            app,
            name="state",
            partitions=partitions,
            schema=BatchSchema(),
            key_type=bytes,
            value_type=bytes,
            # Not 1: Faust then goes on reading the changelog of an active partition after recovery,
            # and would load rows over younger ones in memory (its tables/recovery.py).
            recovery_buffer_size=2,
        )
        self._films = films
        self._default_timezone = default_timezone
        self._tables: dict[int, Tables] = {}
        self._owners: dict[int, Ownership] = {}
        self._kept: set[int] = set()
        self._fatal = fatal
        #: Rows that were written again, since a paused owner had written over them.
        self.undercut = 0

    @property
    def changelog(self) -> str:
        """The changelog topic's name."""
        return str(self.changelog_topic.get_topic_name())

    @property
    def topic(self) -> Topic:
        """The changelog as a topic to be declared."""
        return Topic(self.changelog, "table:key", None, compacted=True, lag_ms=COMPACTION_LAG_MS)

    @property
    def partitions_held(self) -> dict[int, Tables]:
        """The tables in memory, by partition; of standbys, too."""
        return self._tables

    def tables(self, partition: int) -> Tables:
        """Return a partition's tables with their indexes built."""
        tables = self._of(partition)
        tables.ready()
        return tables

    # -- owning and writing

    async def take(self, partition: int, outgoing: Outgoing) -> Tables:
        """Return the partition's tables as their owner, with their indexes built.

        The first time a fence is written. What a killed owner wrote between the recovery and the
        fence is loaded: with it the tables are what the log says.
        """
        tables = self._of(partition)
        ownership = self._ownership(partition)
        if not ownership.holds:
            epoch = ownership.next_epoch()
            fence = [(FENCE, b"{}")]
            first = await outgoing.send_whole(self.changelog, partition, fence, header(epoch))
            for record in await self._others(partition, ownership.before(first), epoch):
                if ownership.admits(record):
                    tables.load(record.key, record.value)
            ownership.wrote(first, 1, epoch)
        tables.ready()
        return tables

    async def write(self, partition: int, tables: Tables, outgoing: Outgoing) -> None:
        """Write the batch's changes as one record batch and wait until Kafka has it.

        Raises Moved where the partition was taken away meanwhile: nothing was written then.
        """
        if self._tables.get(partition) is not tables:
            raise Moved(f"partition {partition} was taken away: what was not written is left")
        ownership = self._ownership(partition)
        epoch = ownership.own
        assert epoch is not None, "a partition is taken before it is written"
        rows = list(tables.changelog())
        first = await outgoing.send_whole(self.changelog, partition, rows, header(epoch))
        for record in await self._others(partition, ownership.before(first), epoch):
            if epoch_of(record) < epoch:
                ownership.undercut.add(record.key)
        ownership.wrote(first, len(rows), epoch)
        if ownership.undercut:
            await self._write_again(partition, tables, outgoing, epoch)

    async def _others(self, partition: int, offsets: range, epoch: int) -> list[ConsumerRecord]:
        """Return what lies between our rows; a successor's rows there end this process."""
        if not offsets:
            return []
        transport = cast(CinemaTransport, self.app.transport)
        records = await transport.read(self.changelog, partition, offsets)
        if any(epoch_of(record) > epoch for record in records):
            self._fatal(f"partition {partition} has a new owner: this one was paused")
        return [record for record in records if epoch_of(record) <= epoch]

    async def _write_again(
        self, partition: int, tables: Tables, outgoing: Outgoing, epoch: int
    ) -> None:
        """Write the rows that a paused owner wrote over, before compaction drops ours."""
        ownership = self._ownership(partition)
        changed = dict(tables.changelog())
        keys = sorted(ownership.undercut)
        rows = [(key, changed[key] if key in changed else tables.row(key)) for key in keys]
        logger.warning("partition %d: a paused owner wrote %d rows late", partition, len(rows))
        for index in range(0, len(rows), REWRITTEN):
            part = rows[index : index + REWRITTEN]
            first = await outgoing.send_whole(self.changelog, partition, part, header(epoch))
            ownership.wrote(first, len(part), epoch)
        ownership.undercut.clear()
        self.undercut += len(rows)

    # -- what Faust calls

    def persisted_offset(self, tp: TP) -> int:
        """Return the changelog offset up to which the partition is in memory, -1 for none.

        Not None: Faust would have a standby without rows sought to None.
        """
        ownership = self._owners.get(tp.partition)
        return ownership.offset if ownership is not None else -1

    async def on_changelog_event(self, event: Any) -> None:
        """Load a batch of rows, but those of owners that were paused; else the later one wins.

        At once, and not when Faust's buffer is full: where rows before it were lost, Faust is told
        that it stands before them, or it would call the recovery complete.
        """
        batch: Batch = event.value
        partition = batch.tp.partition
        if partition not in self._kept:
            # Read before it moved away: loaded now it would be half a table.
            return
        ownership = self._ownership(partition)
        consumer = cast(Consumer, self.app.consumer)
        if not await consumer.follows(batch, ownership.offset + 1):
            recovery = cast(Any, self.app.tables).recovery
            for offsets in (recovery.active_offsets, recovery.standby_offsets):
                if batch.tp in offsets:
                    offsets[batch.tp] = ownership.offset
            return
        tables = self._of(partition)
        for record in batch.records:
            # What is not younger than memory was written by us, or loaded before.
            if record.offset > ownership.offset and ownership.admits(record):
                tables.load(record.key, record.value)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Load nothing more: it was when the event came."""

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Forget the partitions that have moved away: their owner writes on without us."""
        kept = {tp.partition for tp in assigned if tp.topic == self.changelog}
        self._kept = kept
        for partition in set(self._tables) - kept:
            del self._tables[partition]
            self._owners.pop(partition, None)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    def _ownership(self, partition: int) -> Ownership:
        return self._owners.setdefault(partition, Ownership())

    def _of(self, partition: int) -> Tables:
        if partition not in self._tables:
            self._tables[partition] = Tables(self._films, self._default_timezone)
        return self._tables[partition]
