"""The load is the same for the same seed, and wants what it says."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import islice

import msgspec

from dev.chaos.book import Book
from dev.chaos.load import Load
from dev.chaos.marks import marks_in
from dev.chaos.wants import Entry, Event, Mail, Refused, Skipped, Told, Watched
from dev.chaos.world import FOLLOWERS, GUESTS, SERIES, STEADY
from streams.fields import user_of
from streams.partitions import partition_of
from streams.topics import DECODERS

NOW = datetime(2026, 11, 27, 21, tzinfo=UTC)
PARTITIONS = 8


def events(seed: int, number: int = 5000) -> list[Event]:
    """Return the first events of a load."""
    return list(islice(Load(seed, PARTITIONS, NOW).events(), number))


def test_the_same_seed_gives_the_same_events() -> None:
    assert events(3) == events(3)
    assert events(3) != events(4)


def test_what_is_right_can_be_read_and_what_is_wrong_on_purpose_cannot() -> None:
    for event in events(5):
        sent_on = any(name == "cinema-origin" for name, _ in event.headers)
        ahead = b'"film_id":"f"' in event.value
        try:
            DECODERS[event.topic](event.value)
        except (msgspec.DecodeError, ValueError):
            assert event.wants == (Refused(),), event
        else:
            # What time it is and where it lies decide about these two.
            assert event.wants != (Refused(),) or sent_on or ahead, event


def test_a_text_that_people_get_carries_the_mark_that_is_wanted() -> None:
    for event in events(6):
        for want in event.wants:
            if isinstance(want, Mail | Entry | Told):
                assert want.mark in marks_in(event.value)


def test_events_are_misplaced_keyless_and_repeated_at_times() -> None:
    found = events(7)
    keyed = [event for event in found if event.key is not None and event.topic != "episodes"]
    wrong = [one for one in keyed if one.partition != partition_of(one.key or "", PARTITIONS)]
    assert 0.02 < len(wrong) / len(keyed) < 0.08
    assert any(event.key is None and event.topic == "activity" for event in found)
    names = Counter((event.topic, event.event_id) for event in found if event.event_id)
    assert max(names.values()) == 2
    assert 0.02 < sum(number == 2 for number in names.values()) / len(found) < 0.08


def test_nobody_is_told_of_an_episode_who_took_the_series_off_the_list() -> None:
    load, book = Load(8, PARTITIONS, NOW), Book()
    book.addresses = load.addresses
    for offset, event in enumerate([*load.prologue(), *islice(load.events(), 20_000)]):
        book.acknowledged(event, 0, offset)
    off = [
        (user, one) for one in SERIES for user, last in book.lists[one].items() if not last.added
    ]
    assert off
    before = len(book.mails)
    for offset, event in enumerate(load.epilogue()):
        book.acknowledged(event, 1, offset)
    listed = sum(last.added for one in SERIES for last in book.lists[one].values())
    assert len(book.mails) - before == listed
    assert all(len(book.lists[one]) == len(FOLLOWERS) for one in STEADY)


def test_what_was_repeated_is_wanted_once() -> None:
    book, found = Book(), events(9)
    for offset, event in enumerate(found):
        book.acknowledged(event, 0, offset)
    assert book.repeats > 50
    watched = {
        (event.event_id or number, want)
        for number, event in enumerate(found)
        for want in event.wants
        if isinstance(want, Watched)
    }
    assert sum(map(len, book.watched.values())) == len(watched)
    assert len(book.skipped) == sum(
        isinstance(want, Skipped) for event in found for want in event.wants
    )


def test_who_is_known_by_address_only_has_the_contracts_id() -> None:
    guests = [want for event in events(10) for want in event.wants if isinstance(want, Entry)]
    assert {user_of(one) for one in GUESTS} & {one.user_id for one in guests}
