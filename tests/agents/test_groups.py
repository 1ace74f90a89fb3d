"""Activity of one group: what a window says when it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agents.activity import close
from streams.decisions import Decision
from streams.events import Activity
from streams.topics import VALUE_LIMIT
from tables.groups import Groups
from tables.view import encode
from tests.agents.conftest import NOON, Desk, jobs, reasons


@pytest.fixture
def ticking(desk: Desk) -> Desk:
    """Return a partition whose clock has ticked."""
    go_on(desk)
    return desk


def go_on(desk: Desk, **span: float) -> None:
    """Let the clock go on without anything being due."""
    desk.now += timedelta(**span)
    counts = desk.tables.counts
    counts[""] = counts.book.at_tick(desk.now.timestamp())
    desk.merge()


def like(desk: Desk, body: str, group: str | None = "likes") -> list[Decision]:
    return desk.send("activity", user_id="eve", body=body, group=group)


def ended(desk: Desk, group: str = "likes") -> list[Decision]:
    arrival = desk.arrival("clock")
    key = Groups.key("eve", group)
    found = list(close(key, desk.user("eve"), desk.tables, arrival))
    desk.merge()
    return found


def test_what_joins_a_window_says_nothing_yet(ticking: Desk) -> None:
    assert like(ticking, "one") == like(ticking, "two") == []


def test_a_window_says_how_many_came_and_the_first_three(ticking: Desk) -> None:
    for number in range(5):
        like(ticking, f"{number}")
    go_on(ticking, minutes=2)
    (job,) = jobs(ended(ticking))
    assert job.context == {"body": "0", "count": 5, "bodies": ["0", "1", "2"]}
    assert (job.channel, job.created_at) == ("websocket", ticking.now)
    assert not ticking.tables.groups.rows


def test_a_window_with_one_event_is_that_event(ticking: Desk) -> None:
    like(ticking, " the <only> one\r\n")
    (row,) = ticking.tables.groups.rows.values()
    (job,) = jobs(ended(ticking))
    other = Desk()
    (alone,) = jobs(like(other, " the <only> one\r\n", group=None))
    assert (job.context, job.cause.topic) == (alone.context, alone.cause.topic)
    assert job.cause == row.cause


def test_an_empty_group_is_none(ticking: Desk) -> None:
    assert jobs(like(ticking, "at once", group=""))


def test_the_job_has_its_id_from_the_event_that_opened_the_window() -> None:
    ids = set()
    for others in (0, 1, 7):
        desk = Desk()
        desk.send("activity", user_id="eve", body="first", group="g", event_id="e1")
        for _ in range(others):
            like(desk, "other", "g")
        (job,) = jobs(ended(desk, "g"))
        assert job.cause.event_id == "e1"
        ids.add(job.job_id)
    assert len(ids) == 1


def test_what_comes_after_the_end_says_the_window_before_its_turn_and_opens_another(
    ticking: Desk,
) -> None:
    like(ticking, "one")
    go_on(ticking, seconds=119)
    assert like(ticking, "two") == []
    go_on(ticking, seconds=1)
    (job,) = jobs(like(ticking, "three"))
    assert job.context == {"body": "one", "count": 2, "bodies": ["one", "two"]}
    (row,) = ticking.tables.groups.rows.values()
    assert (row.bodies, row.due) == (["three"], ticking.now.timestamp() + 120)


def test_before_the_first_tick_no_time_passes(desk: Desk) -> None:
    like(desk, "one")
    desk.now += timedelta(hours=1)
    assert like(desk, "two") == []
    (row,) = desk.tables.groups.rows.values()
    assert (row.count, row.due) == (2, NOON.timestamp() + 120)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"unsubscribe": ["activity"]}, "unsubscribed"),
        ({"taboo": True}, "taboo"),
        ({"pause_until": "2026-11-23T00:00:00Z"}, "paused until 2026-11-23T00:00:00+00:00"),
        ({"channels": {"activity": []}}, "no channel chosen"),
    ],
)
def test_what_the_person_wants_counts_at_the_end(
    ticking: Desk, choice: dict[str, object], reason: str
) -> None:
    like(ticking, "one")
    like(ticking, "two")
    ticking.send("preferences", user_id="eve", **choice)
    assert reasons(ended(ticking)) == [reason]


def test_groups_and_people_have_windows_of_their_own(ticking: Desk) -> None:
    for group in ("likes", "answers"):
        for user in ("eve", "bob"):
            ticking.send("activity", user_id=user, body="b", group=group)
    assert len(ticking.tables.groups.rows) == 4


def test_bodies_that_do_not_fit_one_record_together_are_only_counted(ticking: Desk) -> None:
    large = '"' * (VALUE_LIMIT // 3)
    for body in (large, large, "small"):
        like(ticking, body)
    (row,) = ticking.tables.groups.rows.values()
    assert (row.count, row.bodies) == (3, [large, "small"])
    assert len(encode(row)) < VALUE_LIMIT + 1000


def test_the_largest_event_alone_is_kept_whole(ticking: Desk) -> None:
    body = "x" * (VALUE_LIMIT - 60)
    assert len(encode(Activity(user_id="eve", body=body, group="g"))) > VALUE_LIMIT - 60
    like(ticking, body, "g")
    like(ticking, "y", "g")
    (job,) = jobs(ended(ticking, "g"))
    assert (job.context["count"], job.context["bodies"][0]) == (2, body)


def test_an_open_window_goes_with_the_person(ticking: Desk) -> None:
    like(ticking, "one")
    like(ticking, "two", "answers")
    ticking.tombstone("users", "eve")
    assert not ticking.tables.groups.rows
