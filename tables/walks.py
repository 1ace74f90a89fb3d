"""Walks under way: who of a partition has been looked at for one trigger, episode or firing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sortedcontainers import SortedList

from streams.jobs import Cause
from tables.view import View


class WalkRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One walk of one partition.

    `topic` names the decision to make for each user, `event` is the record's value. A firing has a
    `campaign` instead, by its id: one large campaign may fire in hundreds of zones at once. `zone`
    limits it to the users of that zone; `occurrence` is the naive local time of the firing and
    `due` its instant; `late` says that the campaign came after it. Users known only after `as_of`
    are out. `cursor` is the last user id looked at.
    """

    topic: str
    event: msgspec.Raw = msgspec.Raw(b"null")
    campaign: str | None = None
    cause: Cause
    identity: str
    as_of: datetime
    zone: str | None = None
    occurrence: str | None = None
    due: datetime | None = None
    late: bool = False
    cursor: str = ""
    done_at: datetime | None = None

    @property
    def subject(self) -> str:
        """What takes turns: a campaign with all its zones, or one trigger."""
        return self.campaign or f"{self.topic}/{self.identity}"


class Walks(View[WalkRow]):
    """Walks by id."""

    name = "walks"
    row = WalkRow

    def __init__(self) -> None:
        super().__init__()
        #: Walks under way by what they are about, in turn; those of one in order of due time.
        self.open: dict[str, dict[str, None]] = {}
        self._ended: SortedList[tuple[datetime, str]] = SortedList()

    def index(self, key: str, old: WalkRow | None, new: WalkRow | None) -> None:
        if old is not None and old.done_at is not None:
            self._ended.remove((old.done_at, key))
        elif old is not None and (new is None or new.done_at is not None):
            walks = self.open[old.subject]
            del walks[key]
            if not walks:
                del self.open[old.subject]
        if new is not None and new.done_at is not None:
            self._ended.add((new.done_at, key))
        elif new is not None:
            self.open.setdefault(new.subject, {})[key] = None

    def rebuild(self) -> None:
        self.open.clear()
        self._ended.clear()
        # Opened in order of due time, whatever order the changelog keeps them in.
        for key, row in sorted(self.rows.items(), key=lambda item: item[1].as_of):
            self.index(key, None, row)

    @property
    def number_open(self) -> int:
        """How many walks are under way."""
        return sum(map(len, self.open.values()))

    def ended_before(self, horizon: datetime) -> Iterator[str]:
        """Yield the ids of walks that ended before that time, the longest ended first."""
        return (key for _, key in self._ended.irange(maximum=(horizon, "")) if key in self)

    def of_zone(self, zone: str) -> list[WalkRow]:
        """Return the firings under way through the users of a zone, in order of due time."""
        rows = (self.get(key) for walks in self.open.values() for key in walks)
        found = [row for row in rows if row is not None and row.zone == zone and not row.done_at]
        return sorted(found, key=lambda row: row.as_of)

    def next(self) -> list[str]:
        """Return the ids of the walks whose turn it is, and put them at the end of the line.

        They are to be taken in this order: a person keeps the last occurrence that was theirs, so
        a later one of the same campaign must not overtake.
        """
        for subject, walks in self.open.items():
            del self.open[subject]
            self.open[subject] = walks
            return list(walks)
        return []
