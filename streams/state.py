"""The tables of all partitions that this worker owns, as one Faust table with one changelog.

Faust recovers it: the changelog's records come in batches (streams/transport.py) and are loaded
into the partition's tables. What is written goes out in one record batch for each batch of events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import faust
from faust.types.tuples import TP

from streams.topics import Topic
from streams.transport import Batch, BatchSchema
from tables.films import Films
from tables.partition import Tables

# A row that a paused owner wrote late must be seen by whoever recovers before compaction drops what
# it undercut (docs/architecture.md, "Paused owners").
COMPACTION_LAG_MS: Final = 3_600_000


class State(faust.Table[bytes, bytes]):
    """Tables by partition, recovered from and written to one compacted changelog."""

    def __init__(
        self, app: faust.App, *, films: Films, partitions: int, default_timezone: str
    ) -> None:
        super().__init__(
            app,
            name="state",
            partitions=partitions,
            schema=BatchSchema(),
            key_type=bytes,
            value_type=bytes,
            # A batch is applied as it comes: there is nothing to gain from gathering batches.
            recovery_buffer_size=1,
        )
        self._films = films
        self._default_timezone = default_timezone
        self._tables: dict[int, Tables] = {}
        self._offsets: dict[int, int] = {}

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

    def written(self, partition: int, offset: int) -> None:
        """Note the offset up to which memory and changelog agree: recovery goes on from there."""
        self._offsets[partition] = offset

    # -- what Faust calls

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset up to which the partition is in memory."""
        return self._offsets.get(tp.partition)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Load rows; the later in the log wins."""
        for event in batch:
            records: Batch = event.value
            tables = self._of(records.tp.partition)
            for record in records.records:
                tables.load(record.key, record.value)
            self._offsets[records.tp.partition] = records.records[-1].offset

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Forget the partitions that have moved away: their owner writes on without us."""
        kept = {tp.partition for tp in assigned if tp.topic == self.changelog}
        for partition in set(self._tables) - kept:
            del self._tables[partition]
            self._offsets.pop(partition, None)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    def _of(self, partition: int) -> Tables:
        if partition not in self._tables:
            self._tables[partition] = Tables(self._films, self._default_timezone)
        return self._tables[partition]
