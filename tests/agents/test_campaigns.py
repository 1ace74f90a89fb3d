"""Campaigns: audiences, occurrences, and moves between zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.campaigns import campaigns
from streams.jobs import Job
from tests.agents.conftest import NOON, Desk, jobs, reasons

FRIDAY = datetime(2026, 11, 27, tzinfo=UTC)
DAILY = {"campaign_id": "daily", "kind": "tip", "cron": "0 18 * * *"}


def tips(found: list[Any], user_id: str = "ann") -> list[Job]:
    """Return the mails of tip campaigns to a person."""
    return [
        job
        for job in jobs(found)
        if job.kind == "tip" and job.channel == "email" and job.user_id == user_id
    ]


def test_the_built_in_campaigns_fire_at_each_recipients_own_hour(cinema: Desk) -> None:
    tokyo = cinema.go_to(FRIDAY.replace(hour=9))
    assert [(job.user_id, job.kind) for job in jobs(tokyo)] == [("bob", "weekly_reminder")]
    assert cinema.go_to(FRIDAY.replace(hour=16, minute=59)) == []
    berlin = cinema.go_to(FRIDAY.replace(hour=17))
    assert [(job.user_id, job.kind) for job in jobs(berlin)] == [("ann", "weekly_reminder")]


def test_a_built_in_campaign_can_be_replaced_and_comes_back_when_that_is_deleted(
    cinema: Desk,
) -> None:
    cinema.send(
        "campaigns",
        campaign_id="weekly_reminder",
        kind="weekly_reminder",
        cron="0 18 * * 5",
        enabled=False,
    )
    assert jobs(cinema.go_to(FRIDAY + timedelta(days=1))) == []
    cinema.tombstone("campaigns", "weekly_reminder")
    assert campaigns(cinema.tables)["weekly_reminder"].enabled
    assert len(jobs(cinema.go_to(FRIDAY + timedelta(days=8)))) == 2


def test_an_older_record_of_a_campaign_changes_nothing(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    cinema.send("campaigns", NOON - timedelta(hours=1), **{**DAILY, "cron": "0 3 * * *"})
    assert campaigns(cinema.tables)["daily"].cron == "0 18 * * *"


def test_the_same_campaign_again_is_no_change(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    cinema.now += timedelta(hours=1)
    cinema.send("campaigns", **DAILY, event_id="again")
    row = cinema.tables.schedules.get("daily")
    assert row is not None
    assert row.since == NOON
    cinema.send("campaigns", **{**DAILY, "cron": "0 19 * * *"})
    row = cinema.tables.schedules.get("daily")
    assert row is not None
    assert row.since == cinema.now


def test_a_tip_is_the_best_film_not_watched_and_carries_the_campaigns_own_fields(
    cinema: Desk,
) -> None:
    cinema.send("watch_history", user_id="ann", film_id="f14", seconds=1, at=NOON.isoformat())
    cinema.send("campaigns", **DAILY, context={"headline": "Tonight"}, template="gala")
    found = cinema.go_to(NOON + timedelta(days=1))
    (ann,), (bob,) = tips(found), tips(found, "bob")
    assert ann.context["film"]["film_id"] == "f13"
    assert bob.context["film"]["film_id"] == "f14"
    assert ann.context["headline"] == "Tonight"
    assert ann.context["campaign_id"] == "daily"
    assert (ann.template, ann.kind) == ("gala", "tip")


def test_a_campaign_of_a_built_in_kind_brings_its_template_and_fields(cinema: Desk) -> None:
    cinema.send(
        "campaigns",
        campaign_id="xmas",
        kind="weekly_reminder",
        cron="0 18 * * 4",
        template="xmas",
        context={"greeting": "Ho"},
    )
    (job,) = [job for job in jobs(cinema.go_to(FRIDAY)) if job.user_id == "ann"]
    assert (job.template, job.context["greeting"]) == ("xmas", "Ho")
    assert len(job.context["films"]) == 10


AUDIENCES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"ann", "bob"}),
    ({"users": ["bob", "eve"]}, {"bob"}),
    ({"locale": "ru"}, {"bob"}),
    ({"locale": "en"}, {"ann"}),
    ({"timezones": ["Asia/Tokyo", "UTC"]}, {"bob"}),
    ({"timezones": ["Japan"]}, {"bob"}),
    ({"watched": {"genre": "comedy", "days": 7}}, {"ann"}),
    ({"watched": {"genre": "comedy", "days": 1}}, set()),
    ({"watched": {"series_id": "s1", "days": 30}}, {"bob"}),
    ({"watched": {"series_id": "f2", "days": 30}}, {"ann"}),
    ({"idle_days": 4}, {"bob"}),
    ({"idle_days": 30}, set()),
    ({"idle_days": 2, "locale": "en"}, {"ann"}),
]


@pytest.mark.parametrize(("audience", "people"), AUDIENCES)
def test_a_campaign_reaches_its_audience(
    cinema: Desk, audience: dict[str, Any], people: set[str]
) -> None:
    three_days_ago = (NOON - timedelta(days=3)).isoformat()
    long_ago = (NOON - timedelta(days=20)).isoformat()
    cinema.send("watch_history", user_id="ann", film_id="f2", seconds=1, at=three_days_ago)
    cinema.send("watch_history", user_id="bob", film_id="f13", seconds=1, at=long_ago)
    cinema.send("campaigns", **DAILY, audience=audience)
    found = cinema.go_to(NOON + timedelta(days=1))
    assert {job.user_id for job in jobs(found)} == people
    assert reasons(found) == []


def test_a_renamed_zone_belongs_to_the_same_audience(cinema: Desk) -> None:
    cinema.send("users", user_id="eve", email="e@f.g", timezone="Europe/Kiev")
    cinema.send("campaigns", **DAILY, audience={"timezones": ["Europe/Kyiv"]})
    assert {job.user_id for job in jobs(cinema.go_to(NOON + timedelta(days=1)))} == {"eve"}


def test_an_occurrence_is_said_once_however_often_it_is_fired(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    later = NOON + timedelta(hours=10)
    first = cinema.go_to(later)
    assert len(tips(first)) == 1
    cinema.now = NOON
    assert cinema.go_to(later) == []


def test_what_was_missed_for_too_long_is_skipped_as_stale(cinema: Desk) -> None:
    cinema.send("campaigns", campaign_id="c", kind="tip", at=(NOON + timedelta(1)).isoformat())
    found = cinema.go_to(NOON + timedelta(days=5))
    due = (NOON + timedelta(days=1)).isoformat()
    assert f"stale: it was due at {due}" in reasons(found)
    assert tips(found) == []


def test_after_a_pause_each_occurrence_of_the_time_between_is_decided(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    found = cinema.go_to(NOON + timedelta(days=5))
    stale = [
        decision
        for decision in found
        if not isinstance(decision, Job) and getattr(decision, "kind", "") == "tip"
    ]
    assert (len(tips(found)), len(stale)) == (3, 4)


def test_one_local_time_reaches_each_zone_in_its_turn(cinema: Desk) -> None:
    local = (NOON + timedelta(days=1)).replace(tzinfo=None).isoformat()
    cinema.send("campaigns", campaign_id="c", kind="tip", local_at=local)
    tokyo = cinema.go_to(NOON + timedelta(hours=15))
    assert (len(tips(tokyo, "bob")), len(tips(tokyo))) == (1, 0)
    berlin = cinema.go_to(NOON + timedelta(hours=23))
    assert (len(tips(berlin, "bob")), len(tips(berlin))) == (0, 1)


# -- moves


def move(desk: Desk, zone: str) -> list[Any]:
    return desk.send("preferences", user_id="ann", timezone=zone)


def test_who_moves_east_past_the_hour_is_told_at_once(cinema: Desk) -> None:
    cinema.send("campaigns", NOON - timedelta(days=9), **DAILY)
    cinema.now = NOON + timedelta(days=1)
    found = move(cinema, "Asia/Tokyo")  # 21:00 there, 13:00 where Ann was
    (job,) = tips(found)
    assert job.cause.event_id == "daily@2026-11-23T18:00:00"
    assert tips(cinema.go_to(NOON + timedelta(days=1, hours=20))) == []
    assert len(tips(cinema.go_to(NOON + timedelta(days=2)))) == 1


def test_who_moves_east_after_the_hour_is_not_told_again(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    assert len(tips(cinema.go_to(NOON + timedelta(hours=6)))) == 1
    assert move(cinema, "Asia/Tokyo") == []
    assert tips(cinema.go_to(NOON + timedelta(hours=20))) == []


def test_who_moves_west_after_the_hour_is_not_told_again(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    assert len(tips(cinema.go_to(NOON + timedelta(hours=6)))) == 1
    assert move(cinema, "America/Lima") == []
    assert tips(cinema.go_to(NOON + timedelta(hours=13))) == []
    assert len(tips(cinema.go_to(NOON + timedelta(hours=36)))) == 1


def test_a_renamed_zone_is_no_move(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    move(cinema, "Europe/Kiev")
    assert len(tips(cinema.go_to(NOON + timedelta(hours=6)))) == 1
    assert move(cinema, "Europe/Kyiv") == []


def test_who_was_not_there_when_it_was_said_is_not_told_by_moving(cinema: Desk) -> None:
    cinema.send("campaigns", **DAILY)
    cinema.now = NOON + timedelta(hours=9)
    cinema.send("users", user_id="eve", email="e@f.g", timezone="Europe/Berlin")
    assert cinema.send("preferences", user_id="eve", timezone="Asia/Tokyo") == []


def test_a_zone_that_comes_after_the_registration_brings_nothing_from_before_it(
    cinema: Desk,
) -> None:
    cinema.send("campaigns", **DAILY)
    cinema.now = NOON + timedelta(days=1)
    cinema.send("registration", event="send_greeting", email="e@f.g", username="Eve", user_id="eve")
    # 18:00 was three hours ago in Tokyo, and is to come in the default zone.
    assert cinema.send("users", user_id="eve", email="e@f.g", timezone="Asia/Tokyo") == []


def test_a_campaign_that_came_after_the_new_zones_hour_is_not_caught_up(cinema: Desk) -> None:
    cinema.now = NOON
    cinema.send("campaigns", **DAILY)  # 21:00 in Tokyo
    assert tips(move(cinema, "Asia/Tokyo")) == []


HOME = ["Europe/Berlin", "Asia/Tokyo", "America/Lima", "Pacific/Apia", "Asia/Kathmandu"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from(HOME)), min_size=1, max_size=14))
def test_whatever_moves_are_made_each_occurrence_is_said_once_and_none_is_dropped(
    moves: list[tuple[int, str]],
) -> None:
    desk = Desk()
    desk.send("films", film_id="f", title="t")
    desk.send("users", user_id="ann", email="a@b.c", timezone="Europe/Berlin")
    desk.now = start = NOON + timedelta(days=1)
    desk.send("campaigns", **DAILY)
    desk.now = start = start + timedelta(days=2)
    found: list[Any] = []
    for hours, zone in moves:
        found += desk.go_to(desk.now + timedelta(hours=hours))
        found += move(desk, zone)
    said = [job.cause.event_id or "" for job in tips(found)]
    assert len(said) == len(set(said))
    days = sorted(datetime.fromisoformat(one.partition("@")[2]).date() for one in said)
    gaps = {(later - earlier).days for earlier, later in pairwise(days)}
    assert gaps <= {1}, "a local day without its tip"
    elapsed = (desk.now - start).days
    # Let d be the day of a zone's latest past noon. At the start noon has just passed in Berlin
    # (d = B); by now it is B + elapsed, one more if a day has begun, and the zones differ by one.
    # The last day said is d of a zone: of Lima at the least, of Apia at the most. The first one is
    # B + 1, but a move may still say B, and to Lima B - 1: nobody was told before the start.
    assert -1 <= len(days) - elapsed <= 3


def test_marks_of_campaigns_that_were_deleted_long_ago_do_not_pile_up(cinema: Desk) -> None:
    for number in range(30):
        name = f"c{number}"
        at = cinema.now + timedelta(hours=1)
        said = {"kind": "activity", "context": {"body": "x"}}
        cinema.send("campaigns", campaign_id=name, at=at.isoformat(), **said)
        cinema.go_to(cinema.now + timedelta(days=1))
        cinema.tombstone("campaigns", name)
    marks = set(cinema.user("ann").fired)
    assert {f"c{number}@" for number in range(23, 30)} <= marks
    assert len(marks) <= 7 + 2 + 2


def test_the_mark_of_a_campaign_that_stands_is_kept_however_old(cinema: Desk) -> None:
    said = {"kind": "activity", "context": {"body": "x"}}
    cinema.send("campaigns", campaign_id="yearly", cron="0 9 23 11 *", **said)
    cinema.go_to(cinema.now + timedelta(days=1))
    cinema.send("campaigns", campaign_id="later", cron="0 9 1 2 *", **said)
    cinema.go_to(cinema.now + timedelta(days=90))
    assert set(cinema.user("ann").fired) >= {"yearly", "later"}
