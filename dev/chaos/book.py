"""The book: what was sent and acknowledged, and what has to come of it; not the service's own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from dev.chaos.marks import told_by


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


@dataclass(slots=True)
class Book:
    """What has to be there in the end, by what was acknowledged."""

    places: dict[Place, Event] = field(default_factory=dict)
    #: Events of which nobody knows whether they were written.
    unsure: list[Event] = field(default_factory=list)
    mails: dict[Mail, Place] = field(default_factory=dict)
    entries: dict[Entry, Place] = field(default_factory=dict)
    watched: defaultdict[str, list[Watched]] = field(default_factory=lambda: defaultdict(list))
    zones: dict[str, Zone] = field(default_factory=dict)
    #: By series, the last change of each person's list.
    lists: defaultdict[str, dict[str, Listed]] = field(default_factory=lambda: defaultdict(dict))
    refused: set[Place] = field(default_factory=set)
    skipped: dict[Place, Skipped] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    repeats: int = 0
    _known: set[tuple[str, str]] = field(default_factory=set)

    def acknowledged(self, event: Event, partition: int, offset: int) -> None:
        """Take note of a record that Kafka has."""
        place = Place(event.topic, partition, offset)
        self.places[place] = event
        if event.event_id is not None:
            name = event.topic, event.event_id
            if name in self._known:
                self.repeats += 1
                return
            self._known.add(name)
        for want in event.wants:
            self._want(want, place)

    def failed(self, event: Event) -> None:
        """Take note of a record that Kafka may have or not."""
        self.unsure.append(event)

    def _want(self, want: Want, place: Place) -> None:
        match want:
            case Mail():
                self.mails[want] = place
            case Entry():
                self.entries[want] = place
            case Watched():
                self.watched[want.user_id].append(want)
            case Zone():
                before = self.zones.get(want.user_id)
                if want.by_choice or before is None or not before.by_choice:
                    self.zones[want.user_id] = want
            case Listed():
                listed = self.lists[want.series_id]
                listed[want.user_id] = max(
                    want, listed.get(want.user_id, want), key=lambda one: one.number
                )
            case Refused():
                self.refused.add(place)
            case Skipped():
                self.skipped[place] = want
            case Told():
                for user_id, listed_last in self.lists[want.series_id].items():
                    if listed_last.added:
                        self.mails[Mail(want.mark, self.addresses[user_id])] = place
                        self.entries[Entry(want.mark, user_id)] = place

    def excused(self, marks: list[str]) -> bool:
        """Tell whether a text may be of an event that is neither acknowledged nor known lost."""
        mark = told_by(marks)
        return mark is not None and any(mark.encode() in event.value for event in self.unsure)
