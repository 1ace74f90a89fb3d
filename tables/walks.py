"""Walks under way: who of a partition has been looked at for one trigger, episode or firing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

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


class Walks(View[WalkRow]):
    """Walks by id."""

    name = "walks"
    row = WalkRow

    def __init__(self) -> None:
        super().__init__()
        #: Walks under way, in turn.
        self.open: dict[str, None] = {}
        #: Firings under way by campaign and zone, in order of due time.
        self._firings: dict[tuple[str, str], dict[str, None]] = {}
        # Those that ended, in order of their end: a tick looks at the first alone.
        self._ended: dict[str, None] = {}

    def index(self, key: str, old: WalkRow | None, new: WalkRow | None) -> None:
        if new is None:
            self._ended.pop(key, None)
        elif new.done_at is not None:
            self._ended[key] = None
        if new is None or new.done_at is not None:
            self.open.pop(key, None)
            if old is not None and (pair := _pair(old)) in self._firings:
                self._firings[pair].pop(key, None)
                if not self._firings[pair]:
                    del self._firings[pair]
        elif key not in self.open:
            self.open[key] = None
            if pair := _pair(new):
                self._firings.setdefault(pair, {})[key] = None

    def rebuild(self) -> None:
        self.open.clear()
        self._firings.clear()
        # Opened in order of due time, whatever order the changelog keeps them in.
        for key, row in sorted(self.rows.items(), key=lambda item: item[1].as_of):
            self.index(key, None, row)
        ended = sorted((row.done_at, key) for key, row in self.rows.items() if row.done_at)
        self._ended = dict.fromkeys(key for _, key in ended)

    def ended_before(self, horizon: datetime) -> Iterator[str]:
        """Yield the ids of walks that ended before that time, the longest ended first."""
        for key in self._ended:
            row = self.get(key)
            if row is None:
                continue
            if row.done_at is None or row.done_at >= horizon:
                return
            yield key

    def of_zone(self, zone: str) -> list[WalkRow]:
        """Return the firings under way through the users of a zone, in order of due time."""
        rows = [
            row
            for (_, place), keys in self._firings.items()
            if place == zone
            for key in keys
            if (row := self.get(key)) is not None and row.done_at is None
        ]
        return sorted(rows, key=lambda row: row.as_of)

    def waits_for_another(self, key: str, row: WalkRow) -> bool:
        """Tell whether a firing has to wait for an earlier one of its campaign and zone.

        A person keeps the last occurrence that was theirs: what came after it must not overtake.
        """
        pair = _pair(row)
        return pair is not None and next(iter(self._firings.get(pair, ())), key) != key

    def next(self) -> str | None:
        """Return the id of the walk whose turn it is, and put it at the end of the line."""
        for key in self.open:
            del self.open[key]
            self.open[key] = None
            return key
        return None


def _pair(row: WalkRow) -> tuple[str, str] | None:
    return None if row.campaign is None else (row.campaign, row.zone or "")
