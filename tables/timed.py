"""Rows that each come to a time of their own: a table with a heap."""

from __future__ import annotations

from datetime import datetime
from heapq import heapify, heappop, heappush

from tables.view import R, View


class Timed(View[R]):
    """Rows by key. A table says of each when it is due."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, str]] = []

    def until(self, row: R) -> float:
        """Return when a row is due, in epoch seconds."""
        raise NotImplementedError

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return up to `limit` keys of rows that are due, the longest due first.

        They stay in the heap until their rows are gone, so asking twice gives the same.
        """
        heap, entries = self._heap, []
        found: dict[str, None] = {}
        while heap and heap[0][0] <= now.timestamp() and len(found) < limit:
            entry = heappop(heap)
            row = self.rows.get(entry[1])
            if row is not None and self.until(row) == entry[0]:
                entries.append(entry)
                # Not those that the batch in hand has deleted or put off: that may be undone.
                if self.get(entry[1]) is row:
                    found[entry[1]] = None
        for entry in entries:
            heappush(heap, entry)
        return list(found)

    def index(self, key: str, old: R | None, new: R | None) -> None:
        if new is not None and (old is None or self.until(old) != self.until(new)):
            heappush(self._heap, (self.until(new), key))

    def rebuild(self) -> None:
        self._heap = [(self.until(row), key) for key, row in self.rows.items()]
        heapify(self._heap)
