"""Rows that rest until they are due, with an index by person."""

from __future__ import annotations

from collections import defaultdict

from tables.timed import Timed
from tables.view import R


class Resting(Timed[R]):
    """Rows by key. A table says of each until when it rests, and whose it is."""

    def __init__(self) -> None:
        super().__init__()
        #: The keys of the rows that rest for each user.
        self.by_user: defaultdict[str, set[str]] = defaultdict(set)

    def owner(self, row: R) -> str:
        """Return the id of the user whom a row is about."""
        raise NotImplementedError

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
        super().index(key, old, new)
        if old is not None:
            owner = self.owner(old)
            self.by_user[owner].discard(key)
            if not self.by_user[owner]:
                del self.by_user[owner]
        if new is not None:
            self.by_user[self.owner(new)].add(key)

    def rebuild(self) -> None:
        super().rebuild()
        self.by_user.clear()
        for key, row in self.rows.items():
            self.by_user[self.owner(row)].add(key)
