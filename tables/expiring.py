"""What is remembered for some time and then forgotten, by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, TypeVar

import msgspec

from tables.timed import Timed


class Dated(msgspec.Struct, frozen=True):
    """A row that says when it was written, in epoch seconds of the clock."""

    at: float


D = TypeVar("D", bound=Dated)


class Expiring(Timed[D]):
    """Rows that are forgotten a span, `kept`, after their time."""

    kept: ClassVar[timedelta]

    def until(self, row: D) -> float:
        return row.at + self.kept.total_seconds()

    def expire(self, now: datetime, limit: int) -> None:
        """Forget up to `limit` rows that are old enough, the oldest first."""
        for key in self.due(now, limit):
            del self[key]
