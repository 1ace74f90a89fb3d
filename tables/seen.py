"""Identities of the last seven days: the same one again is a duplicate."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from tables.view import View

# How long an identity is remembered (CONTRACT, "Records").
REMEMBERED: Final = timedelta(days=7)


class SeenRow(msgspec.Struct, frozen=True):
    """When an identity was decided or applied, in epoch seconds of the clock, and for whom."""

    at: float
    user_id: str


class Seen(View[SeenRow]):
    """Identities, scoped by topic and user."""

    name = "seen"
    row = SeenRow

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, str]] = []
        self._by_user: defaultdict[str, set[str]] = defaultdict(set)

    def has(self, topic: str, user_id: str, identity: str, now: datetime) -> bool:
        """Tell whether the identity was met within the last seven days."""
        return self.within(topic, user_id, identity, now, REMEMBERED)

    def within(
        self, topic: str, user_id: str, identity: str, now: datetime, span: timedelta
    ) -> bool:
        """Tell whether the identity was met within that span before now."""
        row = self.get(_key(topic, user_id, identity))
        return row is not None and now.timestamp() - row.at < span.total_seconds()

    def add(self, topic: str, user_id: str, identity: str, now: datetime) -> None:
        """Remember the identity."""
        self[_key(topic, user_id, identity)] = SeenRow(now.timestamp(), user_id)

    def expire(self, now: datetime, limit: int) -> None:
        """Forget up to `limit` identities that are old enough."""
        horizon = now.timestamp() - REMEMBERED.total_seconds()
        heap = self._heap
        for _ in range(limit):
            if not heap or heap[0][0] > horizon:
                return
            at, key = heappop(heap)
            row = self.get(key)
            if row is not None and row.at == at:
                del self[key]

    def forget(self, user_id: str) -> None:
        """Erase what was remembered for a person."""
        for key in self._by_user.get(user_id, ()):
            del self[key]
        for key in [key for key, row in self.changes.items() if row and row.user_id == user_id]:
            del self[key]

    def index(self, key: str, old: SeenRow | None, new: SeenRow | None) -> None:
        if new is not None:
            heappush(self._heap, (new.at, key))
            self._by_user[new.user_id].add(key)
        elif old is not None:
            self._by_user[old.user_id].discard(key)
            if not self._by_user[old.user_id]:
                del self._by_user[old.user_id]

    def rebuild(self) -> None:
        self._heap = [(row.at, key) for key, row in self.rows.items()]
        heapify(self._heap)
        self._by_user.clear()
        for key, row in self.rows.items():
            self._by_user[row.user_id].add(key)


def _key(topic: str, user_id: str, identity: str) -> str:
    return "\x1f".join((topic, user_id, identity))
