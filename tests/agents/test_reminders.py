"""The weekly reminder: ten films, once a local ISO week."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from agents.reminders import week_of
from tests.agents.conftest import NOON, Desk, jobs, reasons

TRIGGER = {"event": "send_reminder"}


def ids(desk: Desk, user_id: str = "ann") -> list[str]:
    (job,) = jobs(desk.send("weekly_reminder", **TRIGGER, users=[user_id]))
    return [film["film_id"] for film in job.context["films"]]


def test_last_weeks_films_come_first_and_then_the_best_rated(cinema: Desk) -> None:
    for name, days, rating in (("new", 6, 1.0), ("newer", 0, 2.0), ("old", 7, 9.0)):
        released = (NOON - timedelta(days)).date().isoformat()
        cinema.send("films", film_id=name, title=name, rating=rating, released=released)
    found = ids(cinema)
    assert found == ["newer", "new", "old", "f14", "f13", "f12", "f11", "f10", "f9", "f8"]


def test_a_film_that_is_not_out_yet_is_not_recommended(cinema: Desk) -> None:
    tomorrow = (NOON + timedelta(days=1)).date().isoformat()
    cinema.send("films", film_id="next", title="Next", rating=10, released=tomorrow)
    assert "next" not in ids(cinema)
    cinema.now += timedelta(days=7)
    assert ids(cinema)[0] == "next"


def test_what_was_watched_is_not_recommended(cinema: Desk) -> None:
    cinema.send("watch_history", user_id="ann", film_id="f14", seconds=9, at=NOON.isoformat())
    assert ids(cinema)[0] == "f13"
    assert ids(cinema, "bob")[0] == "f14"


def test_who_has_watched_everything_is_skipped(cinema: Desk) -> None:
    for number in range(1, 15):
        film = f"f{number}"
        cinema.send("watch_history", user_id="ann", film_id=film, seconds=9, at=NOON.isoformat())
    found = cinema.send("weekly_reminder", **TRIGGER, users=["ann"])
    assert reasons(found) == ["no film that is not watched yet"]


def test_the_mail_says_the_week_and_when_it_is_void(cinema: Desk) -> None:
    (job,) = jobs(cinema.send("weekly_reminder", **TRIGGER, users=["ann"]))
    assert job.context["username"] == "Ann"
    assert job.context["week"] == "2026-W47"
    assert job.template == "personal_selection"
    assert job.expires_at == NOON + timedelta(hours=24)
    assert (job.timezone, job.locale) == ("Europe/Berlin", "en")


def test_a_trigger_reaches_everyone_once_in_the_local_week(cinema: Desk) -> None:
    assert {job.user_id for job in jobs(cinema.send("weekly_reminder", **TRIGGER))} == {
        "ann",
        "bob",
    }
    again = cinema.send("weekly_reminder", **TRIGGER)
    assert jobs(again) == []
    assert reasons(again) == ["reminded already in 2026-W47"] * 2
    # In Tokyo Monday has begun when it is Sunday evening in Berlin.
    cinema.now = NOON + timedelta(hours=5)
    assert [job.user_id for job in jobs(cinema.send("weekly_reminder", **TRIGGER))] == ["bob"]


def test_trigger_and_schedule_share_the_week(cinema: Desk) -> None:
    friday = datetime(2026, 11, 27, 12, tzinfo=UTC)
    cinema.now = friday - timedelta(days=1)
    cinema.send("weekly_reminder", **TRIGGER, users=["ann"])
    found = cinema.go_to(friday + timedelta(hours=6))
    assert [job.user_id for job in jobs(found)] == ["bob"]
    assert reasons(found) == ["reminded already in 2026-W48"]


def test_trigger_and_schedule_make_the_same_job(cinema: Desk) -> None:
    monday = datetime(2026, 11, 23, 12, tzinfo=UTC)
    cinema.now = monday
    scheduled = cinema.go_to(monday + timedelta(days=5))
    (by_schedule,) = [job for job in jobs(scheduled) if job.user_id == "ann"]
    fresh = Desk()
    fresh.films = fresh.tables.films = cinema.films
    fresh.send("users", user_id="ann", email="a@b.c", timezone="Europe/Berlin")
    fresh.now = monday
    (by_trigger,) = jobs(fresh.send("weekly_reminder", **TRIGGER))
    assert by_trigger.job_id == by_schedule.job_id


def test_what_was_skipped_may_still_be_said_in_that_week(cinema: Desk) -> None:
    cinema.send("preferences", user_id="ann", unsubscribe=["weekly_reminder"])
    cinema.send("weekly_reminder", **TRIGGER, users=["ann"])
    cinema.send("preferences", user_id="ann", resubscribe=["weekly_reminder"])
    assert len(jobs(cinema.send("weekly_reminder", **TRIGGER, users=["ann"]))) == 1


@pytest.mark.parametrize(
    ("day", "week"),
    [
        (date(2026, 1, 1), "2026-W01"),
        (date(2027, 1, 1), "2026-W53"),
        (date(2024, 12, 30), "2025-W01"),
    ],
)
def test_weeks_are_those_of_iso_8601(day: date, week: str) -> None:
    assert week_of(day) == week
