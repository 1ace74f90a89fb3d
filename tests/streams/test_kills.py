"""A worker killed at any point: what comes of the log is what would have come without the kill."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.statistics import month_report
from tests.streams.world import World

USERS = [f"u{number}" for number in range(6)]
FILMS = [f"f{number}" for number in range(4)]
START = datetime(2026, 11, 19, 12, tzinfo=UTC)

Event = tuple[str, dict[str, Any] | bytes]


def registration(user: str) -> Event:
    return "registration", {
        "event": "send_greeting",
        "email": f"{user}@example.com",
        "username": user,
        "user_id": user,
        "timezone": "Asia/Tokyo",
    }


events = st.one_of(
    st.sampled_from(USERS).map(registration),
    st.builds(
        lambda user, film: (
            "watch_history",
            {"user_id": user, "film_id": film, "seconds": 60, "at": "2026-11-10T10:00:00Z"},
        ),
        st.sampled_from(USERS),
        st.sampled_from(FILMS),
    ),
    st.builds(
        lambda user, group: ("activity", {"user_id": user, "body": "hi", "group": group}),
        st.sampled_from(USERS),
        st.sampled_from([None, "likes"]),
    ),
    st.just(("weekly_reminder", {"event": "send_reminder"})),
    st.just(("activity", b"{broken")),
)
#: Between topics there is no order: what must not race stands in stages one after the other.
stories = st.lists(st.lists(events, max_size=8), max_size=5)
#: (how many sends to live for, whether the last one was still written)
kills = st.tuples(st.integers(0, 5), st.booleans())


async def play(story: list[list[Event]], deaths: list[tuple[int, bool]], batch: int) -> World:
    """Let a world live through the stages, five hours apart, killing its worker as told."""
    world = World(partitions=2)
    for number, film in enumerate(FILMS):
        world.put("films", {"film_id": film, "title": film, "rating": number})
    deaths = list(deaths)
    for number, stage in enumerate([[registration(user) for user in USERS], *story]):
        now = START + timedelta(hours=5 * number)
        for partition in range(2):
            world.put("clock", {"at": now.isoformat()}, partition=partition, at=now)
        await world.live(deaths, batch)
        for topic, value in stage:
            world.put(topic, value, at=now)
        await world.live(deaths, batch)
    return world


def told(world: World) -> tuple[Any, ...]:
    """Return all that the outside can tell of a world."""
    tables = [world.memory.tables(partition) for partition in range(2)]
    statistics = {
        user: month_report(world.tables(user).users.of(user), "2026-11", world.tables(user), "UTC")
        for user in USERS
    }
    return (
        sorted((job.job_id, job.kind, job.user_id) for job in world.jobs()),
        sorted(job.job_id for job in world.held()),
        sorted((one.kind, one.user_id, one.status) for one in world.deliveries()),
        {topic: world.outcomes(topic) for topic in ("registration", "watch_history", "activity")},
        world.job_ids(),
        statistics,
        [len(one.deferred.rows) for one in tables],
        [one.groups.rows for one in tables],
    )


@given(
    story=stories,
    deaths=st.lists(kills, max_size=6),
    batch=st.sampled_from([1, 3, 500]),
)
@settings(max_examples=150)
def test_kills_at_any_point_lose_nothing_and_count_nothing_twice(
    story: list[list[Event]], deaths: list[tuple[int, bool]], batch: int
) -> None:
    async def both() -> tuple[World, World]:
        return await play(story, deaths, batch), await play(story, [], batch)

    killed, spared = asyncio.run(both())
    assert told(killed) == told(spared)


@given(story=stories, deaths=st.lists(kills, max_size=4))
@settings(max_examples=100)
def test_the_numbers_add_up_after_any_kills(
    story: list[list[Event]], deaths: list[tuple[int, bool]]
) -> None:
    world = asyncio.run(play(story, deaths, 3))
    for topic in ("registration", "watch_history", "activity", "weekly_reminder"):
        on_topic = sum(len(world.log.records[topic, partition]) for partition in range(2))
        assert sum(world.outcomes(topic).values()) == on_topic
    jobs = {job.job_id: job.kind for job in (*world.jobs(), *world.held())}
    skips = {one.job_id: one.kind for one in world.deliveries() if one.status == "skipped"}
    assert world.job_ids() == dict(Counter((jobs | skips).values()))
