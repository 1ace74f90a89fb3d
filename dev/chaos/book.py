"""The book: what was sent and acknowledged, and what has to come of it; not the service's own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from dev.chaos.marks import told_by
from dev.chaos.wants import (
    Entry,
    Event,
    Listed,
    Mail,
    Place,
    Refused,
    Skipped,
    Told,
    Want,
    Watched,
    Zone,
)


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

    def is_shared(self, place: Place) -> bool:
        """Tell whether an event may be to several people: nobody knows what an unsure one was."""
        event = self.places.get(place)
        return event is None or sum(isinstance(want, Mail) for want in event.wants) > 1

    def excused(self, marks: list[str]) -> bool:
        """Tell whether a text may be of an event that is neither acknowledged nor known lost."""
        mark = told_by(marks)
        return mark is not None and any(mark.encode() in event.value for event in self.unsure)
