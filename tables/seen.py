"""Identities of the last seven days: the same one again is a duplicate."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from tables.expiring import Dated, Expiring

# How long an identity is remembered (CONTRACT, "Records").
REMEMBERED: Final = timedelta(days=7)
# Forgotten with a person at once: their deletions fit the changelog's record batch three times.
FORGOTTEN: Final = 4_000


class SeenRow(Dated, frozen=True):
    """When an identity was decided or applied, and for whom."""

    user_id: str


class Seen(Expiring[SeenRow]):
    """Identities, scoped by topic and user."""

    name = "seen"
    row = SeenRow
    kept = REMEMBERED

    def __init__(self) -> None:
        super().__init__()
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

    def forget(self, user_id: str) -> None:
        """Erase what was remembered for a person; of very much the rest goes by its age."""
        for key in islice(self._by_user.get(user_id, ()), FORGOTTEN):
            del self[key]
        for key in [key for key, row in self.changes.items() if row and row.user_id == user_id]:
            del self[key]

    def index(self, key: str, old: SeenRow | None, new: SeenRow | None) -> None:
        super().index(key, old, new)
        if new is not None:
            self._by_user[new.user_id].add(key)
        elif old is not None:
            self._by_user[old.user_id].discard(key)
            if not self._by_user[old.user_id]:
                del self._by_user[old.user_id]

    def rebuild(self) -> None:
        super().rebuild()
        self._by_user.clear()
        for key, row in self.rows.items():
            self._by_user[row.user_id].add(key)


def _key(topic: str, user_id: str, identity: str) -> str:
    return "\x1f".join((topic, user_id, identity))
