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
        # Those that ended, in order of their end: a tick looks at the first alone.
        self._ended: dict[str, None] = {}

    def index(self, key: str, old: WalkRow | None, new: WalkRow | None) -> None:
        if new is None:
            self._ended.pop(key, None)
        elif new.done_at is not None:
            self._ended[key] = None
        if new is None or new.done_at is not None:
            self.open.pop(key, None)
        elif key not in self.open:
            self.open[key] = None

    def rebuild(self) -> None:
        self.open.clear()
        super().rebuild()
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

    def next(self) -> str | None:
        """Return the id of the walk whose turn it is, and put it at the end of the line."""
        for key in self.open:
            del self.open[key]
            self.open[key] = None
            return key
        return None
