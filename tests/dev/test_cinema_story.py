from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.cinema import accidents
from dev.cinema.almanac import TICK, firsts, fridays, instant, span
from dev.cinema.facts import Hours, Joined, Left, Noted, Released, Watched
from dev.cinema.films import CATALOGUE, SERIES
from dev.cinema.people import ZONES, audience
from dev.cinema.records import Record
from dev.cinema.script import Story, write
from streams.errors import InvalidRecord
from streams.partitions import partition_of
from streams.topics import DECODERS, VALUE_LIMIT

END = datetime(2026, 11, 22, 5, 17, tzinfo=UTC)
PARTITIONS = 8


@pytest.fixture(scope="module")
def story() -> Story:
    return write(END, partitions=PARTITIONS)


def records(story: Story) -> list[Record]:
    return [record for step in story.steps for record in step.records]


def useless(record: Record) -> bool:
    return record.value in {value for _, _, value in accidents.USELESS}


def test_there_are_sixty_films_and_two_serials_among_them() -> None:
    assert len(CATALOGUE) == len({film.film_id for film in CATALOGUE}) == 60
    assert {film.series_id for film in CATALOGUE} == {None, *(one.series_id for one in SERIES)}
    assert len(SERIES) == 2
    assert all(film.url.startswith("https://cinema.example/") for film in CATALOGUE)
    assert all(film.genres and 1902 <= film.year < 1970 for film in CATALOGUE)


def test_the_audience_lives_all_over_the_earth_in_two_languages() -> None:
    people = audience(seed=1)
    offsets = {
        datetime(2026, 7, 1, tzinfo=ZoneInfo(person.timezone)).utcoffset() for person in people
    }
    assert len(people) == len({person.user_id for person in people}) == 300
    assert len({person.email.lower() for person in people}) == 300
    assert len({person.timezone for person in people}) == len(ZONES) >= 24
    assert {person.locale for person in people} == {"ru", "en"}
    assert any(offset and offset % timedelta(hours=1) for offset in offsets)
    summer_in = {"Australia/Sydney", "Europe/Berlin"}
    assert summer_in <= {person.timezone for person in people}


def test_equal_seeds_and_ends_give_equal_stories_and_other_seeds_do_not() -> None:
    one, same, other = write(END), write(END), write(END, seed=1896)
    assert one.facts == same.facts
    assert one.steps == same.steps
    assert one.facts != other.facts


@settings(max_examples=200)
@given(st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)))
def test_whenever_it_ends_two_month_ends_and_eight_fridays_have_passed_in_every_zone(
    end: datetime,
) -> None:
    time_ = span(end.replace(tzinfo=UTC))
    assert timedelta(0) <= end.replace(tzinfo=UTC) - time_.end < TICK
    for zone in ZONES:
        months = [
            local
            for local in firsts(time_.begin, time_.end)
            if time_.begin + timedelta(days=7) < instant(local, zone) <= time_.end
        ]
        weeks = [
            local
            for local in fridays(time_.begin, time_.end)
            if time_.begin < instant(local, zone) <= time_.end
        ]
        assert len(months) >= 2
        assert len(weeks) >= 8


def test_a_step_has_twelve_ticks_and_the_last_one_begins_the_next() -> None:
    time_ = span(END)
    ticks = list(time_.ticks(5))
    assert len(ticks) == 12
    assert ticks[-1] == time_.start(6)
    assert {time_.step_of(tick) for tick in ticks} == {5}
    assert time_.step_of(ticks[-1] + timedelta(seconds=1)) == 6


def test_every_record_can_be_used_but_the_useless_ones(story: Story) -> None:
    for record in records(story):
        if useless(record) or record.value is None:
            continue
        event = DECODERS[record.topic](record.value)
        if record.topic != "episodes" and record.key is not None and event.people:
            assert event.people == (record.key,)


def use(topic: str, value: bytes) -> None:
    DECODERS[topic](value)


@pytest.mark.parametrize(("topic", "key", "value"), accidents.USELESS)
def test_no_useless_record_can_be_used(topic: str, key: str | None, value: bytes) -> None:
    if len(value) > VALUE_LIMIT:
        return
    with pytest.raises((ValueError, InvalidRecord)):
        use(topic, value)


def test_records_come_in_the_first_minutes_of_their_step_and_watches_after(story: Story) -> None:
    early = timedelta(minutes=10)
    for step in story.steps:
        start = story.span.start(step.number)
        assert all(record.at < start + early for record in step.records)
    for fact in story.facts:
        if isinstance(fact, Watched):
            assert fact.at <= story.span.start(fact.step + 1)
            assert fact.at >= story.span.start(story.span.step_of(fact.at)) + early


def test_what_is_misplaced_is_counted(story: Story) -> None:
    misplaced: Counter[str] = Counter()
    for record in records(story):
        if record.topic not in accidents.PERSONAL or record.partition is None or useless(record):
            continue
        event = DECODERS[record.topic](record.value or b"")
        (user_id,) = event.people or ("",)
        misplaced[record.topic] += partition_of(user_id, PARTITIONS) != record.partition
    # The bare trigger is for everyone.
    misplaced["registration"] += 1
    assert +misplaced == +story.expected.forwarded
    assert sum(misplaced.values()) > 100


def test_what_is_said_twice_is_counted_and_comes_within_a_week(story: Story) -> None:
    first: dict[tuple[str, str], Record] = {}
    twice: Counter[str] = Counter()
    for record in records(story):
        if useless(record) or record.value is None:
            continue
        identity = msgspec.json.decode(record.value).get("event_id")
        if identity is None:
            continue
        if (record.topic, identity) in first:
            assert first[record.topic, identity].value == record.value
            twice[record.topic] += 1
        first[record.topic, identity] = record
    assert twice == +story.expected.duplicate
    assert sum(twice.values()) > 50


def test_nobody_does_anything_before_joining_or_after_leaving(story: Story) -> None:
    joined = {fact.user_id: fact.step for fact in story.facts if isinstance(fact, Joined)}
    left = {fact.user_id: fact.step for fact in story.facts if isinstance(fact, Left)}
    assert len(joined) == 300
    for fact in story.facts:
        user_id = getattr(fact, "user_id", None)
        if user_id is None:
            continue
        assert fact.step >= joined[user_id]
        assert fact.step <= left.get(user_id, story.span.steps)


def test_nobody_changes_anything_in_a_step_in_which_the_editors_reach_people(story: Story) -> None:
    reached = {fact.step for fact in story.facts if isinstance(fact, Released)}
    for fact in story.facts:
        if fact.step in reached and hasattr(fact, "user_id") and isinstance(fact, Watched):
            assert "-0" not in fact.film_id or fact.film_id.split("-0")[0] not in {
                one.series_id for one in SERIES
            }
        elif fact.step in reached:
            assert type(fact).__name__ in {"Released", "Confirmed", "Wrote"}


def test_hours_may_pass_midnight() -> None:
    night = Hours(time(22), time(8))
    assert time(23) in night
    assert time(7, 59) in night
    assert time(8) not in night
    assert time(12) not in night


def test_some_reviews_are_answered_many_times_at_once(story: Story) -> None:
    bursts = [fact for fact in story.facts if isinstance(fact, Noted) and fact.times > 1]
    assert len(bursts) > 5
    answers = [
        msgspec.json.decode(record.value or b"")
        for record in records(story)
        if record.topic == "activity" and b'"group"' in (record.value or b"")
    ]
    names = Counter((answer["user_id"], answer["event_id"]) for answer in answers)
    assert len(names) == sum(fact.times for fact in bursts)
