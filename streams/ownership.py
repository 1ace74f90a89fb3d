"""Who may write a partition's changelog: fencing by epoch, and by the log's own continuity.

A worker that was paused longer than its session has lost its partitions and does not know it; what
it writes then must count for nothing. So each owner takes an epoch, writes a fence with it before
anything else, and puts it on every row. What lies before the fence counts, also what a killed
owner's last request brought after the tables were recovered: it is loaded then. What lies behind
the fence with a smaller epoch is a paused owner's.

Compaction may drop the row that such a write undercuts, so it has to be written again in time. An
owner sees it at its own next write: the offset is not the one that follows its last (Kafka numbers
records without gaps as long as one producer writes).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from aiokafka import ConsumerRecord

EPOCH: Final = "cinema-epoch"
#: The key of the row that says only who owns the changelog from here on.
FENCE: Final = b"fence:"
WIDTH: Final = 8


@dataclass(slots=True)
class Ownership:
    """What is known of the owners of one partition's changelog.

    `offset` is the last one that memory and log agree on; `undercut` are keys that a paused owner
    wrote over, to be written again.
    """

    met: int = 0
    own: int | None = None
    offset: int = -1
    undercut: set[bytes] = field(default_factory=set)

    @property
    def holds(self) -> bool:
        """Tell whether our fence is in the log, and nobody's after it."""
        return self.own is not None and self.own >= self.met

    def next_epoch(self) -> int:
        """Return an epoch larger than all that was met, and no smaller than Unix milliseconds."""
        return max(self.met + 1, int(time.time() * 1000))

    def before(self, first: int) -> range:
        """Return the offsets between what we know of and a row of ours."""
        return range(self.offset + 1, first)

    def admits(self, record: ConsumerRecord) -> bool:
        """Take note of a record of the log; False for one of a paused owner."""
        self.offset = record.offset
        epoch = epoch_of(record)
        if epoch < self.met:
            self.undercut.add(record.key)
            return False
        self.met = epoch
        self.undercut.discard(record.key)
        return True

    def wrote(self, first: int, number: int, epoch: int) -> None:
        """Note our own rows."""
        self.offset = first + number - 1
        self.own = self.met = max(self.met, epoch)


def epoch_of(record: ConsumerRecord) -> int:
    """Return the epoch of a row's owner, 0 for one without."""
    for name, value in record.headers:
        if name == EPOCH and value is not None:
            return int.from_bytes(value, "big")
    return 0


def header(epoch: int) -> list[tuple[str, bytes]]:
    """Return the headers of an owner's rows."""
    return [(EPOCH, epoch.to_bytes(WIDTH, "big"))]
