"""All tables of one partition: read and changed by one task, recovered from one changelog.

One changelog for all tables makes a batch's changes one record batch, which Kafka writes whole or
not at all. So recovery never meets half of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from streams.errors import TooLarge
from streams.jobs import Job
from streams.topics import MIB, OUTPUT_LIMIT
from tables.bookmarks import Bookmarks
from tables.counts import Counts
from tables.deferred import Deferred
from tables.erased import Erased
from tables.films import Films
from tables.groups import Groups
from tables.schedules import Schedules
from tables.seen import Seen
from tables.users import Users
from tables.view import View
from tables.walks import Walks
from tables.watch_history import WatchHistory

# What one record batch of the changelog takes; the rest is for the partition's book.
CHANGES_LIMIT: Final = OUTPUT_LIMIT - MIB // 2


class Tables:
    """The tables of one partition, and the films, which are the same in all."""

    def __init__(self, films: Films, default_timezone: str) -> None:
        self.films = films
        self.erased = Erased()
        self.users = Users(default_timezone, self.erased)
        self.watch_history = WatchHistory()
        self.bookmarks = Bookmarks()
        self.schedules = Schedules()
        self.walks = Walks()
        self.deferred = Deferred()
        self.groups = Groups()
        self.seen = Seen()
        self.counts = Counts()
        self._views: dict[str, View] = {  # type: ignore[type-arg]
            view.name: view
            for view in (
                self.erased,
                self.users,
                self.watch_history,
                self.bookmarks,
                self.schedules,
                self.walks,
                self.deferred,
                self.groups,
                self.seen,
                self.counts,
            )
        }
        self._stale = False
        #: Bytes that the batch's changes will take in the changelog.
        self.size = 0

    def keep(self) -> None:
        """Keep what a decision has changed.

        Raises TooLarge, and keeps nothing, where a batch's changes would not fit the changelog.
        """
        changed = [view for view in self._views.values() if view.changing]
        size = self.size + sum(view.weigh() for view in changed)
        if size > CHANGES_LIMIT:
            raise TooLarge(
                f"the changes to the tables take {size} bytes, over the limit of {CHANGES_LIMIT}: "
                "send less at once"
            )
        for view in changed:
            view.keep()
        self.size = size

    def undo(self) -> None:
        """Take back what a decision that raised has changed."""
        for view in self._views.values():
            view.undo()

    def changelog(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the batch's changes as they are written: `table:key` and the row as JSON."""
        for name, view in self._views.items():
            for key, value in view.changelog():
                yield f"{name}:{key}".encode(), value

    def merge(self) -> None:
        """Make the batch's changes the tables', now that Kafka has them."""
        for view in self._views.values():
            view.merge()
        self.size = 0

    def changed_beside(self, name: str) -> bool:
        """Tell whether the batch has changed any table but that one."""
        return any(view.changes for view in self._views.values() if view.name != name)

    def row(self, key: bytes) -> bytes | None:
        """Return a row as it stands, as it is written; None where there is none."""
        name, _, rest = key.decode().partition(":")
        view = self._views.get(name)
        found = view.rows.get(rest) if view is not None else None
        return view.encode(found) if view is not None and found is not None else None

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one row from the changelog."""
        name, _, rest = key.decode().partition(":")
        view = self._views.get(name)
        if view is not None:
            view.load(rest, value)
            self._stale = True

    def ready(self) -> None:
        """Build the indexes, if rows were loaded since."""
        if self._stale:
            for view in self._views.values():
                view.rebuild()
            self._stale = False

    def forget(self, user_id: str, life: str, now: datetime) -> list[Job]:
        """Erase a person from all tables; return the jobs that rested and will not be released.

        `life` is the identity of the record that erases: what comes after it is another life.
        """
        self.erased.add(user_id, life, now)
        if user_id in self.users:
            del self.users[user_id]
        if user_id in self.bookmarks:
            del self.bookmarks[user_id]
        self.watch_history.forget(user_id)
        self.seen.forget(user_id)
        # No job was made of an open window: nothing is to be said of it.
        self.groups.forget(user_id)
        return [row.job for row in self.deferred.forget(user_id)]
