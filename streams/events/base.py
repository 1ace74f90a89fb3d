"""What all input records share: ids become text, times aware, and each says whom it is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from sys import intern
from typing import Any

import msgspec
from msgspec import UNSET

from streams.fields import Id, Time, address, ident, instant, local_instant, zone


class Event(msgspec.Struct, kw_only=True):
    """What all input records share."""

    event_id: Id | None = None

    def __post_init__(self) -> None:
        """Make ids text and times aware; subclasses add what a type cannot say."""
        for name, read in _readers(type(self)):
            value = getattr(self, name)
            if value is not None and value is not UNSET:
                setattr(self, name, read(value))
        self.check()

    def check(self) -> None:
        """Raise ValueError for what is wrong between fields."""

    @property
    def people(self) -> tuple[str, ...] | None:
        """The ids of those whom the record names; None for everyone."""
        return (self.user_id,)  # type: ignore[attr-defined]


def _zone_name(value: str) -> str:
    zone(value)
    # Thousands of people share a zone: one text for all of them.
    return intern(value)


#: What is made of a field of that name, in whatever record it stands.
READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("event_id", "user_id", "film_id", "series_id", "campaign_id"), ident),
    **{name: partial(instant, name=name) for name in ("at", "created_at", "pause_until")},
    "local_at": local_instant,
    "email": address,
    "timezone": _zone_name,
}


@cache
def _readers(event: type[Event]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    fields = event.__struct_fields__
    return tuple((name, READERS[name]) for name in fields if name in READERS)


class Tick(Event, kw_only=True):
    """The time is now; one record a second in each partition."""

    at: Time

    @property
    def people(self) -> tuple[str, ...]:
        """No one: a tick is about the partition it lies in."""
        return ()


def now_utc() -> datetime:
    """Return the wall clock's time in UTC."""
    return datetime.now(UTC)
