"""Who watched what, when, for how long; local months are computed on reading.

A row holds one UTC month of one person. So the order between topics does not matter: whatever comes
late, a zone or a watch, is there when the month is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from struct import Struct, pack
from typing import Final, NamedTuple

import msgspec

from streams.events import Watch
from streams.fields import zone
from tables.months import MAX_OFFSET, MONTHS_KEPT, begins, kept_since, month_of, months_back
from tables.person import UserRow
from tables.view import View, encode
from tables.zones import spans


class WatchRow(msgspec.Struct, frozen=True, gc=False):
    """One UTC month of one person, packed: twelve bytes a watch, as MONTH_ENTRY says.

    A cinema of a million people has some hundred million watches in memory.
    """

    packed: bytes


class Stored(msgspec.Struct, frozen=True):
    """The same in the changelog: (film, epoch seconds, seconds watched), in order of arrival."""

    watches: list[tuple[str, int, float]]


# From the first of a month so long later it is always the next one.
LONGEST_MONTH: Final = timedelta(days=31)
# The film's number in memory, epoch seconds, milliseconds watched.
MONTH_ENTRY: Final = Struct("<III")


class Watched(NamedTuple):
    """One watch, to the second and to the millisecond watched."""

    film_id: str
    at: int
    seconds: float


class LocalTime:
    """A person's local time: of each instant in the zone the person was in then."""

    def __init__(self, user: UserRow, default_timezone: str) -> None:
        """Read the person's zone history once."""
        found = list(spans(user.zones, default_timezone))
        self._since = [since for since, _ in found]
        self._zones = [zone(name) for _, name in found]

    def of(self, at: float) -> datetime:
        """Return the local time of an instant in epoch seconds."""
        return datetime.fromtimestamp(at, self._zones[bisect_right(self._since, at) - 1])


class WatchHistory(View[WatchRow]):
    """Watches by `user|UTC month`."""

    name = "watch_history"
    row = WatchRow

    def __init__(self) -> None:
        super().__init__()
        #: The keys of each UTC month. A set would take five times as much.
        self.by_month: dict[str, list[str]] = {}
        self._films: list[str] = []
        self._numbers: dict[str, int] = {}
        self._stored = msgspec.json.Decoder(Stored).decode

    def record(self, event: Watch) -> None:
        """Add one watch."""
        key = f"{event.user_id}|{month_of(event.at)}"
        row = self.get(key)
        entry = self._entry(event.film_id, int(event.at.timestamp()), event.seconds)
        self[key] = WatchRow(row.packed + entry if row else entry)

    def of_month(self, user: UserRow, month: str, default_timezone: str) -> list[Watched]:
        """Return the watches of a user's local month, from the three UTC months it can touch."""
        first = begins(month)
        beyond = begins(month_of(first + LONGEST_MONTH)) + MAX_OFFSET
        keys = (month_of(first - MAX_OFFSET), month, month_of(beyond))
        # Wherever the person was, the month lies within the outer bounds and holds the inner ones.
        day = MAX_OFFSET.total_seconds()
        start, end = first.timestamp(), beyond.timestamp() - day
        local = LocalTime(user, default_timezone)
        return [
            watch
            for key in keys
            for watch in self._row(user.user_id, key)
            if start - day <= watch.at < end + day
            and (start + day <= watch.at < end - day or month_of(local.of(watch.at)) == month)
        ]

    def since(self, user_id: str, start: datetime, now: datetime) -> list[Watched]:
        """Return the watches from `start` to now."""
        months = []
        first = month_of(start.astimezone(UTC))
        for month in months_back(month_of(now.astimezone(UTC)), MONTHS_KEPT + 1):
            months.append(month)
            if month <= first:
                break
        lower, upper = start.timestamp(), now.timestamp()
        return [
            watch
            for month in months
            for watch in self._row(user_id, month)
            if lower <= watch.at <= upper
        ]

    def films(self, user_id: str) -> set[str]:
        """Return all films the user has watched, of all months that are kept."""
        # Months that anybody watched in: an index of each person's would take more than it saves.
        rows = (self.get(f"{user_id}|{month}") for month in self.by_month)
        films = self._films
        return {
            films[number]
            for row in rows
            if row is not None
            for number, _, _ in MONTH_ENTRY.iter_unpack(row.packed)
        }

    def expire(self, now: datetime, limit: int) -> None:
        """Forget up to `limit` rows of months that are not kept any more."""
        oldest = month_of(kept_since(now))
        for month in sorted(month for month in self.by_month if month < oldest):
            # Not those that the batch in hand has deleted: they are there until it is merged.
            live = (key for key in reversed(self.by_month[month]) if key in self)
            for key in list(islice(live, limit)):
                del self[key]
                limit -= 1

    def forget(self, user_id: str) -> None:
        """Erase a person's history."""
        for month in self.by_month:
            if (key := f"{user_id}|{month}") in self.rows:
                del self[key]
        for key in [key for key in self.changes if key.rpartition("|")[0] == user_id]:
            del self[key]

    def index(self, key: str, old: WatchRow | None, new: WatchRow | None) -> None:
        if (old is None) == (new is None):
            return
        month = key.rpartition("|")[2]
        if new is not None:
            self.by_month.setdefault(month, []).append(key)
            return
        keys = self.by_month[month]
        # From the end, where `expire` takes them; an erasure has one of each month looked for.
        if keys[-1] == key:
            keys.pop()
        else:
            keys.remove(key)
        if not keys:
            del self.by_month[month]

    def rebuild(self) -> None:
        self.by_month.clear()
        super().rebuild()

    def encode(self, row: WatchRow) -> bytes:
        return encode(Stored([(film, at, seconds) for film, at, seconds in self._watches(row)]))

    def decode(self, key: str, value: bytes) -> WatchRow:
        # In one go: a recovery reads millions.
        known = self._numbers.get
        fields: list[int] = []
        for film_id, at, seconds in self._stored(value).watches:
            number = known(film_id)
            fields += self._number(film_id) if number is None else number, at, round(seconds * 1000)
        return WatchRow(pack(f"<{len(fields)}I", *fields))

    def _entry(self, film_id: str, at: int, seconds: float) -> bytes:
        return MONTH_ENTRY.pack(self._number(film_id), at, round(seconds * 1000))

    def _number(self, film_id: str) -> int:
        number = self._numbers.get(film_id)
        if number is None:
            number = self._numbers[film_id] = len(self._films)
            self._films.append(film_id)
        return number

    def _watches(self, row: WatchRow) -> Iterator[Watched]:
        films = self._films
        for number, at, milliseconds in MONTH_ENTRY.iter_unpack(row.packed):
            yield Watched(films[number], at, milliseconds / 1000)

    def _row(self, user_id: str, month: str) -> Iterator[Watched]:
        row = self.get(f"{user_id}|{month}")
        return iter(()) if row is None else self._watches(row)
