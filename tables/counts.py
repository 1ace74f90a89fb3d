"""The partition's own book, written with every batch: what was processed, how it ended, the time.

`applied` makes a re-read record change nothing: a partition's changes of one batch are one Kafka
record batch, so this row and all rows it speaks of are in the log together or not at all.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

import msgspec

from tables.view import View

Outcome = Literal["applied", "decided", "duplicate", "forwarded", "dead"]
OUTCOMES: Final = ("applied", "decided", "duplicate", "forwarded", "dead")


class CountsRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Next offset to apply by topic, records by topic and outcome, job ids by kind, last tick.

    `since` is the time of the first record: before the first tick, what was due is due since then.
    """

    applied: dict[str, int] = {}
    records: dict[str, dict[str, int]] = {}
    jobs: dict[str, int] = {}
    tick: float | None = None
    since: float | None = None

    def at_tick(self, tick: float) -> CountsRow:
        """Return the row at a later time."""
        return msgspec.structs.replace(self, tick=tick)


class Counts(View[CountsRow]):
    """One row, under an empty key."""

    name = "counts"
    row = CountsRow

    def __init__(self) -> None:
        super().__init__()
        self._tick_written: float | None = None
        #: Next offset by topic up to which the row was written, not only changed in memory.
        self.applied_written: dict[str, int] = {}

    def rebuild(self) -> None:
        """Know that what was recovered is written."""
        super().rebuild()
        self.applied_written = self.book.applied

    def is_old(self, span: timedelta) -> bool:
        """Tell whether the time that was last written is older than that."""
        tick = self.book.tick
        if tick is None or self._tick_written is None:
            return True
        return tick - self._tick_written >= span.total_seconds()

    def written(self) -> None:
        """Note that the row as it stands has been written."""
        self._tick_written = self.book.tick
        self.applied_written = self.book.applied

    @property
    def book(self) -> CountsRow:
        """The row as it stands."""
        return self.get("") or CountsRow()
