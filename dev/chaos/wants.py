"""Records as they are sent, and what has to come of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class Mail(NamedTuple):
    """A mail that has to come: the mark of what it tells, and the address."""

    mark: str
    address: str


class Entry(NamedTuple):
    """An entry that an inbox has to get."""

    mark: str
    user_id: str


class Watched(NamedTuple):
    """A film that has to count in a month."""

    user_id: str
    month: str
    film_id: str
    seconds: int


class Zone(NamedTuple):
    """The zone that a person's months are to be counted in."""

    user_id: str
    timezone: str
    by_choice: bool


class Listed(NamedTuple):
    """A series that is to be on a person's list, or off it.

    `number` rises from one change to the next: acknowledgements come in another order.
    """

    user_id: str
    series_id: str
    added: bool
    number: int


class Refused(NamedTuple):
    """The record has to become one dead letter."""


class Skipped(NamedTuple):
    """The person has to be told nothing, with a reason."""

    user_id: str
    kind: str


class Told(NamedTuple):
    """Everyone who follows the series has to be told: a mail and an entry each."""

    mark: str
    series_id: str


Want = Mail | Entry | Watched | Zone | Listed | Refused | Skipped | Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A record as it is sent. Without `partition` it goes where `home` lives.

    One with an `event_id` that was sent before says nothing new, though it wants the same.
    """

    topic: str
    value: bytes
    key: str | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    event_id: str | None = None
    wants: tuple[Want, ...] = ()
