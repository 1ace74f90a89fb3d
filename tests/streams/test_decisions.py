"""How a notification becomes a job for each channel, or a skip with its reason."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec
import pytest

from streams import kinds
from streams.decisions import Arrival, notify, refusal, skip, wait
from streams.fields import QuietHours
from streams.jobs import Cause, Delivery, Job
from streams.settings import Settings, Window
from tables.choices import Choices
from tables.person import Profile, UserRow

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NIGHT = NOON.replace(hour=23)
ANN = UserRow(user_id="ann", profile=Profile(email="ann@example.org", username="Ann"))


def arrival(now: datetime = NOON, **changes: Any) -> Arrival:
    cause = Cause("episodes", 3, 14, "e1")
    return Arrival(
        cause=cause,
        at=now,
        now=now,
        identity="e1",
        partition=3,
        settings=Settings(**changes),
    )


def decide(user: UserRow, kind: kinds.Kind, now: datetime = NOON, **options: Any) -> list[Any]:
    return list(notify(user, kind, "occasion", {"a": 1}, arrival(now), **options))


def choose(**choices: Any) -> UserRow:
    return msgspec.structs.replace(ANN, choices=Choices(**choices))


def test_each_channel_has_a_job_with_an_id_of_its_own() -> None:
    email, websocket = decide(ANN, kinds.EPISODE)
    assert (email.channel, email.to) == ("email", "ann@example.org")
    assert (websocket.channel, websocket.to) == ("websocket", "ann")
    assert email.job_id != websocket.job_id
    assert re.fullmatch("[0-9a-f]{32}", email.job_id)
    assert email.cause == Cause("episodes", 3, 14, "e1")
    assert (email.created_at, email.attempt) == (NOON, 0)


def test_the_id_follows_from_occasion_kind_user_and_channel_alone() -> None:
    later = decide(ANN, kinds.TIP, NOON + timedelta(hours=1))
    assert [job.job_id for job in later] == [job.job_id for job in decide(ANN, kinds.TIP)]
    other: list[Any] = list(notify(ANN, kinds.TIP, "another", {"a": 1}, arrival()))
    assert {job.job_id for job in later}.isdisjoint(job.job_id for job in other)


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=kinds.KINDS)
def test_expiry_counts_from_when_it_was_due(kind: kinds.Kind) -> None:
    due = NOON - timedelta(hours=1)
    for job in decide(ANN, kind, due=due):
        assert job.expires_at == (due + kind.expires if kind.expires else None)


def test_what_is_due_for_longer_than_its_expiry_is_stale() -> None:
    due = NOON - timedelta(days=3)
    (skipped,) = decide(ANN, kinds.TIP, due=due)
    assert skipped.reason == f"stale: it was due at {due.isoformat()}"
    assert len(decide(ANN, kinds.TIP, due=due + timedelta(seconds=1))) == 2


@pytest.mark.parametrize(
    ("choices", "kind", "reason"),
    [
        ({}, kinds.TIP, None),
        ({"taboo": True}, kinds.TIP, "taboo"),
        ({"taboo": True}, kinds.LETTER, "taboo"),
        ({"taboo": True}, kinds.WELCOME, None),
        ({"unsubscribed": ["tip"]}, kinds.TIP, "unsubscribed"),
        ({"unsubscribed": ["tip"]}, kinds.EPISODE, None),
        ({"unsubscribed": ["letter"]}, kinds.LETTER, None),
        ({"pause_until": NOON}, kinds.TIP, None),
        ({"pause_until": NIGHT}, kinds.TIP, f"paused until {NIGHT.isoformat()}"),
        ({"pause_until": NIGHT}, kinds.LETTER, None),
        ({"pause_until": NIGHT}, kinds.WELCOME, None),
    ],
)
def test_why_a_kind_is_not_sent(
    choices: dict[str, Any], kind: kinds.Kind, reason: str | None
) -> None:
    assert refusal(choose(**choices), kind, NOON) == reason


def test_a_channel_named_twice_is_one() -> None:
    user = choose(channels={"tip": ["log", "log"]})
    assert [job.channel for job in decide(user, kinds.TIP)] == ["log"]


def test_without_an_address_only_the_other_channels_are_used() -> None:
    stranger = UserRow(user_id="eve")
    assert [job.channel for job in decide(stranger, kinds.TIP)] == ["websocket"]
    (skipped,) = decide(stranger, kinds.WEEKLY_REMINDER)
    assert skipped.reason == "no address known"


def test_a_skip_is_final_and_has_the_events_own_id() -> None:
    one = skip(ANN, kinds.TIP, "because", arrival())
    assert isinstance(one, Delivery)
    assert (one.status, one.reason, one.channel, one.at) == ("skipped", "because", "", NOON)
    assert one == skip(ANN, kinds.TIP, "because", arrival())
    assert one.job_id != skip(UserRow(user_id="bob"), kinds.TIP, "because", arrival()).job_id
    assert one.job_id not in {job.job_id for job in decide(ANN, kinds.TIP)}


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=kinds.KINDS)
def test_only_mails_of_kinds_that_wait_are_held_at_night(kind: kinds.Kind) -> None:
    user = choose(channels={kind.name: ["email", "websocket", "log"]})
    for job in decide(user, kind, NIGHT):
        assert isinstance(job, Job)
        assert (job.not_before is not None) == (kind.waits and job.channel == "email")


def test_a_window_shorter_than_the_spread_is_not_missed() -> None:
    settings = Settings(delivery_window=Window(time(9), time(9, 1)))
    (job, _) = decide(ANN, kinds.TIP)
    for number in range(20):
        one = msgspec.structs.replace(job, job_id=f"{number * 13 % 20:x}".ljust(32, "f"))
        held = wait(one, ANN, NOON, settings).not_before
        assert held is not None
        assert held.time() in settings.delivery_window


def test_quiet_hours_are_the_persons_own() -> None:
    user = choose(quiet_hours=QuietHours("11:00", "13:00"), quiet_hours_set=True)
    email, websocket = decide(user, kinds.TIP)
    assert email.not_before >= NOON.replace(hour=13)
    assert websocket.not_before is None


def test_the_job_carries_what_the_mail_is_written_with() -> None:
    user = msgspec.structs.replace(
        ANN,
        profile=Profile(email="ann@example.org", username="Ann", locale="ru-RU"),
        zones=[(0.0, 1, "Asia/Tokyo")],
    )
    job = decide(user, kinds.LETTER, template="gala")[0]
    assert (job.locale, job.timezone, job.template, job.context) == (
        "ru",
        "Asia/Tokyo",
        "gala",
        {"a": 1},
    )
