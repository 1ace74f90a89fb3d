"""The partitions' books as the changelog has them: what was processed, decided, and rests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from streams.logs import Logs, Progress
from streams.ownership import FENCE, Ownership
from tables.counts import Counts, CountsRow
from tables.deferred import Deferred

CHANGELOG: Final = "cinema-streams-state-changelog"


@dataclass(slots=True)
class Books:
    """The books of all partitions; `resting` says of each job that rests where and until when."""

    of: dict[int, CountsRow] = field(default_factory=dict)
    resting: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def applied(self, topic: str, partition: int) -> int:
        """Return the next offset that the partition will apply."""
        row = self.of.get(partition)
        return 0 if row is None else row.applied.get(topic, 0)

    def records(self, topic: str) -> Counter[str]:
        """Return how the topic's records ended, over all partitions."""
        found: Counter[str] = Counter()
        for row in self.of.values():
            found.update(row.records.get(topic, {}))
        return found

    def jobs(self) -> Counter[str]:
        """Return the number of job ids by kind, over all partitions."""
        found: Counter[str] = Counter()
        for row in self.of.values():
            found.update(row.jobs)
        return found


async def read(logs: Logs, progress: Progress | None = None) -> Books:
    """Read the books as whoever recovers the tables would: a paused owner's rows do not count."""
    books = Books()
    owners: dict[int, Ownership] = {}
    partitions = await logs.partitions(CHANGELOG)
    async for records in logs.read(partitions, progress=progress):
        for record in records:
            owner = owners.setdefault(record.partition, Ownership())
            if not owner.admits(record) or record.key == FENCE:
                continue
            table, _, key = record.key.decode().partition(":")
            if table == Counts.name and record.value is not None:
                books.of[record.partition] = _counts(record.value)
            elif table == Deferred.name:
                if record.value is None:
                    books.resting.pop(key, None)
                else:
                    books.resting[key] = record.partition, _deferred(record.value).job.not_before
    return books


class _Resting(msgspec.Struct):
    not_before: datetime


class _Row(msgspec.Struct):
    job: _Resting


_counts = msgspec.json.Decoder(CountsRow).decode
_deferred = msgspec.json.Decoder(_Row).decode
