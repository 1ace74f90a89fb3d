"""Jobs that wait for the window, and are decided again when it opens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from streams.errors import InvalidRecord
from streams.jobs import Delivery, Job
from streams.windows import SPREAD
from tests.agents.conftest import NOON, Desk, jobs, reasons

# Ten at night in Berlin; the window opens at eight in UTC.
NIGHT = NOON.replace(hour=21)
OPENS = datetime(2026, 11, 23, 8, tzinfo=UTC)
OPEN = OPENS + SPREAD


@pytest.fixture
def held(cinema: Desk) -> Job:
    """Return a reminder that Ann is to get in the morning."""
    cinema.now = NIGHT
    found = cinema.send("weekly_reminder", event="send_reminder", users=["ann"])
    cinema.hold(found)
    (job,) = jobs(found)
    return job


def test_at_night_a_mail_that_can_wait_waits_for_the_window(held: Job) -> None:
    assert held.not_before is not None
    assert OPENS <= held.not_before <= OPEN


def test_what_cannot_wait_does_not(cinema: Desk) -> None:
    cinema.now = NIGHT
    (job,) = jobs(cinema.send("letters", subject="s", text="t", to="a@b.c"))
    assert job.not_before is None


def test_the_websocket_does_not_wait(cinema: Desk) -> None:
    cinema.now = NIGHT
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=True)
    found = jobs(cinema.send("episodes", series_id="s1", serial_name="n", link="l"))
    assert {job.channel: job.not_before is None for job in found} == {
        "email": False,
        "websocket": True,
    }


def test_when_due_it_goes_under_the_same_id(cinema: Desk, held: Job) -> None:
    assert cinema.go_to(OPENS - timedelta(seconds=1)) == []
    (job,) = jobs(cinema.go_to(OPEN))
    assert msgspec.structs.replace(held, not_before=None) == job
    assert not cinema.tables.deferred.rows
    assert cinema.go_to(OPEN + timedelta(hours=1)) == []


def test_an_earlier_attempt_does_not_take_the_place_of_a_later_one(cinema: Desk, held: Job) -> None:
    again = msgspec.structs.replace(held, attempt=1)
    for job in (again, held):
        cinema.send("held", **msgspec.to_builtins(job))
    (released,) = jobs(cinema.go_to(OPEN + timedelta(hours=1)))
    assert released.attempt == 1


def test_who_unsubscribed_in_between_is_skipped_under_the_same_id(cinema: Desk, held: Job) -> None:
    cinema.send("preferences", user_id="ann", unsubscribe=["weekly_reminder"])
    (skipped,) = cinema.go_to(OPEN)
    assert isinstance(skipped, Delivery)
    assert (skipped.job_id, skipped.status, skipped.reason, skipped.channel) == (
        held.job_id,
        "skipped",
        "unsubscribed",
        "email",
    )
    assert not cinema.tables.deferred.rows


def test_what_expired_in_between_is_skipped(cinema: Desk, held: Job) -> None:
    assert reasons(cinema.go_to(NIGHT + timedelta(hours=24))) == [
        f"expired at {(NIGHT + timedelta(hours=24)).isoformat()}"
    ]


def test_a_channel_that_is_not_chosen_any_more_is_skipped(cinema: Desk, held: Job) -> None:
    cinema.send("preferences", user_id="ann", channels={"weekly_reminder": ["websocket"]})
    assert reasons(cinema.go_to(OPEN)) == ["email is not chosen any more"]


def test_it_goes_to_where_the_person_is_by_then(cinema: Desk, held: Job) -> None:
    cinema.send(
        "users",
        user_id="ann",
        email="new@example.org",
        username="Ann",
        timezone="Asia/Tokyo",
        locale="ru",
    )
    (job,) = jobs(cinema.go_to(OPEN))
    assert (job.to, job.timezone, job.locale) == ("new@example.org", "Asia/Tokyo", "ru")
    assert job.job_id == held.job_id


def test_it_waits_again_where_quiet_hours_have_come(cinema: Desk, held: Job) -> None:
    cinema.send("preferences", user_id="ann", quiet_hours={"from": "08:00", "to": "12:00"})
    (job,) = jobs(cinema.go_to(OPEN))
    assert job.not_before is not None
    assert job.not_before >= OPENS + timedelta(hours=3)
    assert job.job_id == held.job_id


def test_a_letter_to_be_tried_again_stays_with_its_address(cinema: Desk) -> None:
    (job,) = jobs(cinema.send("letters", subject="s", text="t", to="Ann@example.org"))
    cinema.send("users", user_id=job.user_id, email="other@example.org")
    again = msgspec.structs.replace(job, attempt=1, not_before=NOON + timedelta(minutes=1))
    cinema.send("held", **msgspec.to_builtins(again))
    (released,) = jobs(cinema.go_to(NOON + timedelta(minutes=1)))
    assert (released.to, released.attempt) == ("Ann@example.org", 1)


def test_a_job_of_an_unknown_kind_is_not_kept(cinema: Desk, held: Job) -> None:
    odd = msgspec.structs.replace(held, kind="gossip")
    with pytest.raises(InvalidRecord, match="kind 'gossip' is none of welcome"):
        cinema.send("held", **msgspec.to_builtins(odd))


def test_the_erased_are_forgotten_with_their_jobs(cinema: Desk, held: Job) -> None:
    gone = cinema.tables.forget("ann", "users/0/1", NOON)
    cinema.merge()
    assert [job.job_id for job in gone] == [held.job_id]
    assert cinema.go_to(OPEN) == []
