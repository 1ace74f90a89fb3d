"""A person's month."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agents.statistics import longest_run, month_report
from streams.decisions import Decision
from streams.errors import InvalidRecord
from streams.jobs import Delivery
from tests.agents.conftest import NOON, Desk, jobs, reasons

BERLIN = ZoneInfo("Europe/Berlin")
TRIGGER = {"event": "send_statistic"}


def watch(
    desk: Desk, film: str, at: datetime, seconds: float = 3600, user: str = "ann"
) -> list[Decision]:
    return desk.send(
        "watch_history", user_id=user, film_id=film, seconds=seconds, at=at.isoformat()
    )


def context(desk: Desk, **trigger: Any) -> dict[str, Any]:
    (job,) = jobs(desk.send("monthly_statistic", **TRIGGER, users=["ann"], **trigger))
    return job.context


def test_the_report_counts_films_hours_and_genres_and_compares(cinema: Desk) -> None:
    for day, film in ((1, "f1"), (2, "f2"), (3, "f2"), (7, "f4")):
        watch(cinema, film, datetime(2026, 10, day, 20, tzinfo=UTC))
    watch(cinema, "never heard of", datetime(2026, 10, 8, 20, tzinfo=UTC), 0.5)
    watch(cinema, "f3", datetime(2026, 9, 8, 20, tzinfo=UTC), 60)
    assert context(cinema) == {
        "username": "Ann",
        "month": "2026-10",
        "films": 4,
        "seconds": 14400,
        "genres": [
            {"genre": "drama", "films": 3, "seconds": 14400},
            {"genre": "comedy", "films": 2, "seconds": 10800},
        ],
        "top_genre": "drama",
        "streak": 3,
        "previous": {"month": "2026-09", "films": 1, "seconds": 60},
    }


def test_films_are_joined_when_the_month_is_read(cinema: Desk) -> None:
    watch(cinema, "later", datetime(2026, 10, 8, 20, tzinfo=UTC))
    cinema.send("films", film_id="later", title="Later", genres=["western"])
    found = context(cinema)
    assert (found["top_genre"], found["previous"]) == ("western", None)


def test_the_month_is_the_local_one(cinema: Desk) -> None:
    # Half past midnight on 1 November in Berlin is still October in UTC.
    watch(cinema, "f1", datetime(2026, 11, 1, 0, 30, tzinfo=BERLIN))
    watch(cinema, "f2", datetime(2026, 10, 31, 23, 30, tzinfo=BERLIN))
    assert context(cinema)["films"] == 1
    assert context(cinema, month="2026-11")["films"] == 1


def test_a_late_watch_counts_to_its_own_month_and_is_named_late(cinema: Desk) -> None:
    watch(cinema, "f1", datetime(2026, 10, 8, 20, tzinfo=UTC))
    context(cinema)
    watch(cinema, "f2", datetime(2026, 10, 9, 20, tzinfo=UTC))
    watch(cinema, "f2", datetime(2026, 11, 9, 20, tzinfo=UTC))
    assert cinema.user("ann").late == {"2026-10": 1}
    report = month_report(cinema.user("ann"), "2026-10", cinema.tables, "UTC")
    assert report.films == 2


def test_a_month_is_reported_once_by_trigger_or_schedule(cinema: Desk) -> None:
    watch(cinema, "f1", datetime(2026, 11, 8, 20, tzinfo=UTC))
    found = cinema.go_to(datetime(2026, 12, 2, tzinfo=UTC))
    monthly = [job for job in jobs(found) if job.kind == "monthly_statistic"]
    assert [job.user_id for job in monthly] == ["ann"]
    assert "nothing watched in 2026-11" in reasons(found)
    again = cinema.send("monthly_statistic", **TRIGGER, users=["ann"])
    assert reasons(again) == ["reported already for 2026-11"]
    named = cinema.send("monthly_statistic", **TRIGGER, users=["ann"], month="2026-11")
    assert reasons(named) == ["reported already for 2026-11"]


def test_who_watched_nothing_is_skipped_and_may_be_told_later(cinema: Desk) -> None:
    found = cinema.send("monthly_statistic", **TRIGGER, users=["ann"])
    assert reasons(found) == ["nothing watched in 2026-10"]
    watch(cinema, "f1", datetime(2026, 10, 8, 20, tzinfo=UTC))
    assert context(cinema)["films"] == 1


def test_a_watch_too_far_ahead_is_refused(cinema: Desk) -> None:
    with pytest.raises(InvalidRecord, match="48 h ahead"):
        watch(cinema, "f1", NOON + timedelta(hours=48, seconds=1))
    watch(cinema, "f1", NOON + timedelta(hours=48))


def test_a_watch_of_too_long_ago_is_skipped_and_says_which_month_and_how_many_are_kept(
    cinema: Desk,
) -> None:
    found = watch(cinema, "f1", datetime(2024, 10, 30, 23, 59, tzinfo=UTC))
    assert reasons(found) == ["a watch of 2024-10 is older than the 24 months that are kept"]
    assert [one.kind for one in found if isinstance(one, Delivery)] == ["monthly_statistic"]
    # Half a day before it is November in UTC it is in Tokyo.
    assert watch(cinema, "f1", datetime(2024, 10, 31, 15, tzinfo=UTC), user="bob") == []
    assert watch(cinema, "f2", datetime(2024, 11, 1, tzinfo=UTC), user="bob") == []
    assert month_report(cinema.user("bob"), "2024-11", cinema.tables, "UTC").films == 2


def test_the_oldest_months_stay_whole_for_as_long_as_they_are_kept(cinema: Desk) -> None:
    first = datetime(2024, 10, 31, 15, tzinfo=UTC)
    for hours in (-1, 0, 24 * 29):
        watch(cinema, f"f{hours}", first + timedelta(hours=hours), user="bob")
    trigger = {**TRIGGER, "users": ["bob"]}
    told = cinema.send("monthly_statistic", **trigger, month="2024-10")
    assert reasons(told) == ["2024-10 is older than the 24 months that are kept"]
    (job,) = jobs(cinema.send("monthly_statistic", **trigger, month="2024-11"))
    assert (job.context["films"], job.context["previous"]) == (2, None)


def test_what_came_late_is_named_for_the_months_that_are_kept_alone(cinema: Desk) -> None:
    for months in range(40):
        at = datetime(2026, 11, 15, 12, tzinfo=UTC) + timedelta(days=31 * months)
        cinema.now = at
        watch(cinema, "f1", at)
        cinema.send("monthly_statistic", **TRIGGER, users=["ann"], month=f"{at:%Y-%m}")
        watch(cinema, "f1", at)
    user = cinema.user("ann")
    assert len(user.occasions["monthly_statistic"]) == len(user.late) == 25
    assert set(user.late.values()) == {1}


def test_the_months_that_were_reported_last_are_remembered_in_whatever_order(cinema: Desk) -> None:
    months = [f"{year}-{month:02}" for year in (2024, 2025, 2026) for month in range(1, 13)]
    months = [month for month in months if "2024-11" <= month <= "2026-11"]
    for month in reversed(months):
        watch(cinema, "f1", datetime.fromisoformat(f"{month}-10T12:00:00Z"))
        context(cinema, month=month)
    for month in months:
        again = cinema.send("monthly_statistic", **TRIGGER, users=["ann"], month=month)
        assert reasons(again) == [f"reported already for {month}"]


def test_the_longest_run_of_days() -> None:
    days = {date(2026, 10, day) for day in (1, 2, 4, 5, 6, 31)}
    assert longest_run(days) == 3
    assert longest_run(set()) == 0
