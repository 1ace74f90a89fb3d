"""A topic whose decisions raise again and again stands still, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.breaker import TopicBreaker
from streams.decisions import Decision, notify
from streams.topics import VALUE_LIMIT
from tests.streams.test_deciding import registration
from tests.streams.world import World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMIT = 3


@pytest.fixture
def world() -> World:
    """Give a world in which three exceptions in a row stop a topic."""
    return World(partitions=1, errors_in_a_row=LIMIT)


@pytest.fixture
def break_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a way to make what is decided about some people raise."""

    def for_these(module: str, *people: str) -> None:
        def broken(user: Any, *rest: Any, **options: Any) -> Iterator[Decision]:
            if not people or user.user_id in people:
                raise RuntimeError("no such thing")
            return notify(user, *rest, **options)

        monkeypatch.setattr(f"{module}.notify", broken)

    return for_these


async def test_so_many_exceptions_in_a_row_stop_the_topic_before_the_next_record(
    world: World, break_for: Callable[..., None]
) -> None:
    break_for("agents.registration")
    for number in range(LIMIT + 2):
        world.put("registration", registration(f"u{number}"))
    world.put("activity", {"user_id": "ann", "body": "another topic goes on"}, key="ann")
    await world.run()
    assert len(world.values("dead_letters")) == LIMIT
    assert world.outcomes("registration") == {"dead": LIMIT}
    assert [job.kind for job in world.jobs()] == ["activity"]
    assert "registration stands still" in world.deciding.breaker.open["registration"]
    assert "RuntimeError" in world.deciding.breaker.open["registration"]


async def test_what_came_after_the_stop_is_decided_after_a_start_with_the_fault_mended(
    world: World, break_for: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_for("agents.registration")
    for number in range(LIMIT + 2):
        world.put("registration", registration(f"u{number}"))
    await world.run()
    monkeypatch.undo()
    world.start()
    await world.run()
    assert {job.user_id for job in world.jobs()} == {f"u{LIMIT}", f"u{LIMIT + 1}"}
    assert world.outcomes("registration") == {"dead": LIMIT, "decided": 2}


async def test_one_decision_that_goes_through_begins_the_count_anew(
    world: World, break_for: Callable[..., None]
) -> None:
    break_for("agents.registration", "bad")
    for name in ("bad", "bad", "good", "bad", "bad", "fine"):
        world.put("registration", registration(name))
    await world.run()
    assert not world.deciding.breaker.open
    assert {job.user_id for job in world.jobs()} == {"good", "fine"}


async def test_records_that_cannot_be_used_never_stop_a_topic(world: World) -> None:
    for number in range(LIMIT * 2):
        world.put("registration", b"{not json")
        letter = {"subject": "s", "text": "t" * VALUE_LIMIT * 5, "to": f"u{number}@example.com"}
        world.put("letters", letter)
    await world.run()
    assert len(world.values("dead_letters")) == LIMIT * 4
    assert not world.deciding.breaker.open


async def test_a_walk_whose_decisions_raise_stands_still_where_it_is(
    world: World, break_for: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"u{number}" for number in range(LIMIT + 4)]
    for name in people:
        world.put("users", {"user_id": name, "email": f"{name}@example.com"}, key=name)
    await world.run()
    await world.tick(NOON)
    break_for("agents.registration")
    world.put("registration", {"event": "send_greeting"})
    await world.run()
    assert "registration" in world.deciding.breaker.open
    said = [one for one in world.deliveries() if one.reason == "error: RuntimeError"]
    assert len(said) == LIMIT
    monkeypatch.undo()
    world.start()
    await world.run()
    assert {job.user_id for job in world.jobs()} == set(people[LIMIT:])


def test_the_one_who_stops_a_topic_is_asked_once() -> None:
    asked: list[str] = []
    breaker = TopicBreaker(2, asked.append)
    for _ in range(5):
        breaker.raised("letters", ValueError("x"))
    assert asked == ["letters"]
