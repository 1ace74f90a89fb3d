from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dev.cinema.accidents import Expected
from dev.cinema.almanac import Span
from dev.cinema.book import Book
from dev.cinema.dues import Due
from dev.cinema.facts import (
    Bookmarked,
    Chose,
    Fact,
    Joined,
    Left,
    Moved,
    Noted,
    Released,
    Reminded,
    Swept,
    Watched,
    Wrote,
)
from dev.cinema.films import CATALOGUE
from dev.cinema.people import Person, user_of
from dev.cinema.script import Story, write

# A Monday at midnight; Friday 18:00 UTC is 4 days and 18 hours, or 19 steps, later.
BEGIN = datetime(2026, 9, 28, tzinfo=UTC)
FRIDAY = datetime(2026, 10, 2, 18, tzinfo=UTC)
ANN = Person("ann", "ann@mail.example", "Ann", "en", "UTC", "full")


def book(*facts: Fact, person: Person = ANN, days: int = 10) -> Book:
    span = Span(BEGIN, BEGIN + timedelta(days=days))
    facts = (Joined(step=1, user_id=person.user_id), *facts)
    ordered = tuple(sorted(facts, key=lambda fact: fact.step))
    return Book(Story(span, {person.user_id: person}, ordered, (), Expected()))


def due(found: Book, kind: str) -> list[Due]:
    return [one for one in found.dues if one.kind == kind]


def step_of(instant: datetime) -> int:
    return Span(BEGIN, BEGIN + timedelta(days=70)).step_of(instant)


def watched(step: int, at: datetime, film: int = 0, seconds: int = 600) -> Watched:
    film_id = CATALOGUE[film].film_id
    return Watched(step=step, user_id="ann", film_id=film_id, seconds=seconds, at=at)


def test_a_person_is_greeted_once_at_once() -> None:
    (welcome,) = due(book(Joined(step=3, user_id="ann")), "welcome")
    assert (welcome.first, welcome.last, welcome.sure) == (1, 1, True)


def test_a_person_with_a_profile_only_is_greeted_by_the_bare_trigger() -> None:
    span = Span(BEGIN, BEGIN + timedelta(days=3))
    facts = (Joined(step=1, user_id="ann", greeted=False), Swept(step=5))
    found = Book(Story(span, {"ann": ANN}, facts, (), Expected()))
    assert [one.first for one in due(found, "welcome")] == [5]


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("UTC", 0), ("Europe/Berlin", -2), ("Asia/Kolkata", -5.5), ("Pacific/Honolulu", 10)],
)
def test_the_weekly_reminder_comes_on_friday_evening_where_the_person_is(
    zone: str, hours: float
) -> None:
    (reminder,) = due(book(person=replace(ANN, timezone=zone), days=6), "weekly_reminder")
    assert reminder.occasion == "2026-W40"
    assert reminder.first == reminder.last == step_of(FRIDAY + timedelta(hours=hours))


def test_a_quiet_evening_puts_the_weekly_reminder_off_until_the_next_morning() -> None:
    quiet = Chose(
        step=2, user_id="ann", preferences={"quiet_hours": {"from": "17:00", "to": "22:00"}}
    )
    (reminder,) = due(book(quiet), "weekly_reminder")
    assert reminder.first == step_of(datetime(2026, 10, 3, 9, tzinfo=UTC))


def test_a_reminder_by_trigger_takes_the_place_of_that_weeks() -> None:
    reminders = due(book(Reminded(step=10, users=("ann",)), days=13), "weekly_reminder")
    assert [one.occasion for one in reminders] == ["2026-W40", "2026-W41"]
    assert reminders[0].first == 10


def test_whoever_has_watched_all_films_gets_no_reminder() -> None:
    seen = [watched(2, BEGIN + timedelta(hours=13), number) for number in range(len(CATALOGUE))]
    assert due(book(*seen), "weekly_reminder") == []


@pytest.mark.parametrize(
    "preferences",
    [
        {"unsubscribe": ["weekly_reminder"]},
        {"taboo": True},
        {"pause_until": "2026-10-05T00:07:00+00:00"},
        {"channels": {"weekly_reminder": []}},
    ],
)
def test_whoever_does_not_want_it_gets_no_reminder(preferences: dict[str, object]) -> None:
    chose = Chose(step=4, user_id="ann", preferences=preferences)
    assert due(book(chose, days=6), "weekly_reminder") == []


def test_moving_east_over_friday_evening_brings_the_reminder_at_once() -> None:
    east = Moved(step=18, user_id="ann", timezone="Pacific/Kiritimati", by_profile=False)
    (reminder,) = due(book(east, days=6), "weekly_reminder")
    # Friday 12:00 UTC is Saturday 02:00 there: it is said, and waits for the morning's window.
    assert reminder.first == step_of(datetime(2026, 10, 2, 19, tzinfo=UTC))


def test_moving_west_after_friday_evening_brings_no_second_reminder() -> None:
    west = Moved(step=20, user_id="ann", timezone="Pacific/Honolulu", by_profile=True)
    reminders = due(book(west), "weekly_reminder")
    assert [one.first for one in reminders] == [step_of(FRIDAY)]


def test_a_month_is_reported_on_the_first_at_ten_with_what_was_told_until_then() -> None:
    early = watched(5, BEGIN + timedelta(days=1, hours=7))
    late = watched(30, BEGIN + timedelta(days=2), film=1)
    found = book(early, late)
    (report,) = due(found, "monthly_statistic")
    assert report.occasion == "2026-09"
    assert report.first == step_of(datetime(2026, 10, 1, 10, tzinfo=UTC))
    assert found.reports["ann", "2026-09"].this.films == 1
    assert found.reports["ann", "2026-09"].before is None
    assert found.statistics.of("ann", "2026-09", 39).films == 2


def test_a_month_without_films_is_not_reported() -> None:
    assert due(book(watched(20, BEGIN + timedelta(days=5))), "monthly_statistic") == []


def test_a_watch_counts_in_the_month_of_the_zone_the_person_was_in() -> None:
    # Kiritimati is 14 hours ahead: at 12:30 UTC on 30 September its October has begun.
    noon = datetime(2026, 9, 30, 12, 30, tzinfo=UTC)
    move = Moved(step=10, user_id="ann", timezone="Pacific/Kiritimati", by_profile=False)
    found = book(
        watched(9, noon - timedelta(hours=1)), watched(10, noon, film=2, seconds=700), move
    )
    assert found.statistics.of("ann", "2026-09", 99).seconds == 600
    october = found.statistics.of("ann", "2026-10", 99)
    assert (october.films, october.seconds) == (1, 700)
    assert {name for name, _, _ in october.genres} == set(CATALOGUE[2].genres)


def test_the_longest_run_of_days_is_counted_in_local_days_of_the_month() -> None:
    first = datetime(2026, 10, 1, 12, tzinfo=UTC)
    days = (-1, 0, 1, 3, 4, 5, 5)
    found = book(*(watched(2, first + timedelta(days=day)) for day in days))
    assert found.statistics.of("ann", "2026-10", 99).streak == 3
    report = found.statistics.report("ann", "2026-10", 99)
    assert report.before is not None and report.before.streak == 1
    assert found.statistics.of("ann", "2026-11", 99).streak == 0


def test_genres_go_by_films_then_seconds_then_name() -> None:
    at = BEGIN + timedelta(hours=13)
    comedies = [n for n, film in enumerate(CATALOGUE) if film.genres == ("Comedy",)][:2]
    horror = next(n for n, film in enumerate(CATALOGUE) if film.genres == ("Horror",))
    found = book(watched(2, at, horror, 5000), *(watched(2, at, n, 100) for n in comedies))
    genres = found.statistics.of("ann", "2026-09", 99).genres
    assert genres == (("Comedy", 2, 200), ("Horror", 1, 5000))


def test_an_episode_comes_to_the_inbox_at_once_and_as_a_mail_in_the_window() -> None:
    added = Bookmarked(step=2, user_id="ann", series_id="les-vampires", added=True)
    # Step 5 begins at 06:00, three hours before the window opens.
    found = book(added, Released(step=5, series_id="les-vampires", episode=3))
    mail, entry = sorted(due(found, "episode"), key=lambda one: one.channel)
    assert (entry.channel, entry.first, entry.last) == ("websocket", 5, 5)
    assert (mail.channel, mail.first) == ("email", 5)
    late = book(added, Released(step=4, series_id="les-vampires", episode=3))
    assert [one.first for one in due(late, "episode") if one.channel == "email"] == [5]


def test_a_serial_taken_off_the_list_is_not_told_of_unless_it_was_watched() -> None:
    added = Bookmarked(step=2, user_id="ann", series_id="les-vampires", added=True)
    removed = Bookmarked(step=3, user_id="ann", series_id="les-vampires", added=False)
    released = Released(step=7, series_id="les-vampires", episode=3)
    number = next(n for n, film in enumerate(CATALOGUE) if film.series_id == "les-vampires")
    seen = watched(4, BEGIN + timedelta(days=1, hours=1), number)
    assert due(book(added, removed, released), "episode") == []
    assert len(due(book(added, removed, released, seen), "episode")) == 2


def test_whoever_leaves_while_a_mail_waits_does_not_get_it() -> None:
    added = Bookmarked(step=2, user_id="ann", series_id="les-vampires", added=True)
    released = Released(step=4, series_id="les-vampires", episode=3)
    found = book(added, released, Left(step=5, user_id="ann"))
    assert [one.channel for one in due(found, "episode")] == ["websocket"]
    assert due(found, "weekly_reminder") == []


def test_the_same_letter_to_the_same_address_within_a_day_is_one_letter() -> None:
    letters = [
        Wrote(step=step, subject="Hello", addresses=("bob@x.example",)) for step in (1, 2, 9)
    ]
    found = due(book(*letters), "letter")
    assert [(one.user_id, one.first) for one in found] == [
        (user_of("bob@x.example"), 1),
        (user_of("bob@x.example"), 9),
    ]


def test_an_activity_goes_to_the_inbox() -> None:
    (entry,) = due(book(Noted(step=4, user_id="ann", body="Hi")), "activity")
    assert (entry.channel, entry.occasion, entry.first) == ("websocket", "Hi", 4)


def test_much_activity_at_once_is_one_entry_with_its_number() -> None:
    (entry,) = due(book(Noted(step=4, user_id="ann", body="Hi", times=5)), "activity")
    assert (entry.channel, entry.occasion, entry.first) == ("websocket", "Hi (5 times)", 4)


def test_in_the_whole_story_every_due_of_a_sure_outcome_lies_within_it() -> None:
    story = write(datetime(2026, 11, 22, 5, tzinfo=UTC))
    found = Book(story)
    sure = [one for one in found.dues if one.sure]
    assert all(1 <= one.first + 1 <= one.last + 1 <= story.span.steps for one in sure)
    assert len(found.dues) - len(sure) < 20
    assert len({(one.user_id, one.kind) for one in sure if one.kind == "welcome"}) == 300
    assert len(sure) > 5000


def test_whoever_wants_no_mails_any_more_while_one_waits_does_not_get_it() -> None:
    added = Bookmarked(step=2, user_id="ann", series_id="les-vampires", added=True)
    released = Released(step=4, series_id="les-vampires", episode=3)
    chose = Chose(step=5, user_id="ann", preferences={"channels": {"episode": ["websocket"]}})
    found = book(added, released, chose)
    assert [one.channel for one in due(found, "episode")] == ["websocket"]
