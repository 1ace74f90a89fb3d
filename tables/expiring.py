"""What is remembered for some time and then forgotten, by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import ClassVar, TypeVar

import msgspec

from tables.view import View


class Dated(msgspec.Struct, frozen=True):
    """A row that says when it was written, in epoch seconds of the clock."""

    at: float


D = TypeVar("D", bound=Dated)


class Expiring(View[D]):
    """Rows that are forgotten a span, `kept`, after their time."""

    kept: ClassVar[timedelta]

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, str]] = []

    def expire(self, now: datetime, limit: int) -> None:
        """Forget up to `limit` rows that are old enough, the oldest first."""
        horizon = (now - self.kept).timestamp()
        heap, entries = self._heap, []
        while heap and heap[0][0] <= horizon and limit:
            entry = heappop(heap)
            at, key = entry
            row = self.rows.get(key)
            if row is None or row.at != at:
                continue
            entries.append(entry)
            # Not those that the batch in hand has deleted or renewed: that may be undone.
            if self.get(key) is row:
                del self[key]
                limit -= 1
        for entry in entries:
            heappush(heap, entry)

    def index(self, key: str, old: D | None, new: D | None) -> None:
        if new is not None:
            heappush(self._heap, (new.at, key))

    def rebuild(self) -> None:
        self._heap = [(row.at, key) for key, row in self.rows.items()]
        heapify(self._heap)
