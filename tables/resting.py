"""Rows that rest until they are due: a table with a heap by due time and an index by person."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from heapq import heapify, heappop, heappush

from tables.view import R, View


class Resting(View[R]):
    """Rows by key. A table says of each until when it rests, and whose it is."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, str]] = []
        #: The keys of the rows that rest for each user.
        self.by_user: defaultdict[str, set[str]] = defaultdict(set)

    def until(self, row: R) -> float:
        """Return when a row is due, in epoch seconds."""
        raise NotImplementedError

    def owner(self, row: R) -> str:
        """Return the id of the user whom a row is about."""
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
                # Not those that the batch in hand has released or put off: that may be undone.
                if self.get(entry[1]) is row:
                    found[entry[1]] = None
        for entry in entries:
            heappush(heap, entry)
        return list(found)

    def forget(self, user_id: str) -> list[R]:
        """Erase what rests for a person, and return it."""
        keys = dict.fromkeys(self.by_user.get(user_id, ()))
        keys |= {
            key: None for key, row in self.changes.items() if row and self.owner(row) == user_id
        }
        gone = []
        for key in keys:
            row = self.get(key)
            if row is not None:
                gone.append(row)
                del self[key]
        return gone

    def index(self, key: str, old: R | None, new: R | None) -> None:
        if old is not None:
            owner = self.owner(old)
            self.by_user[owner].discard(key)
            if not self.by_user[owner]:
                del self.by_user[owner]
        if new is not None:
            if old is None or self.until(old) != self.until(new):
                heappush(self._heap, (self.until(new), key))
            self.by_user[self.owner(new)].add(key)

    def rebuild(self) -> None:
        self._heap = [(self.until(row), key) for key, row in self.rows.items()]
        heapify(self._heap)
        self.by_user.clear()
        for key, row in self.rows.items():
            self.by_user[self.owner(row)].add(key)
