"""Walks that are under way at the same time: whose turn it is, and how long each takes.

In slices, not seconds: a slice looks at up to 500 people, fewer on a slow machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from streams.walking import CHUNK
from tests.streams.test_time import at
from tests.streams.world import World

NOON = at("2026-11-20 12:00")
MANY = 5000
ZONES = (
    *("Africa/Lagos", "America/Lima", "America/New_York", "Asia/Kolkata", "Asia/Tokyo"),
    *("Australia/Perth", "Europe/Berlin", "Europe/Lisbon", "Europe/Moscow", "Pacific/Apia"),
)


async def crowd(number: int, zones: Sequence[str] = ("UTC",)) -> World:
    """Return a world of one partition with so many people, in those zones by turns."""
    world = World(partitions=1)
    await world.tick(NOON - timedelta(hours=1))
    world.put("films", {"film_id": "f", "title": "F"}, key="f")
    for one in range(number):
        user = f"u{one:05d}"
        profile = {"user_id": user, "email": "a@example.com", "timezone": zones[one % len(zones)]}
        # Over a channel that waits for no window.
        world.put("users", {**profile, "channels": {"tip": ["websocket"]}}, key=user)
    await world.run()
    return world


def campaign(world: World, name: str, when: datetime, audience: object = "all") -> None:
    """Announce a campaign of one instant."""
    value = {"campaign_id": name, "kind": "tip", "at": when.isoformat(), "audience": audience}
    world.put("campaigns", value, key=name, partition=0)


def names(world: World) -> list[str]:
    """Return the campaigns of the jobs on the bulk lane, in the lane's order."""
    return [job["context"]["campaign_id"] for job in world.values("outbox")]


def jobs_before_the_end_of(world: World, name: str) -> int:
    """Return how many jobs of others lie before the last of that campaign's."""
    found = names(world)
    last = max(index for index, one in enumerate(found) if one == name)
    return sum(one != name for one in found[:last])


async def slices(world: World) -> int:
    """Take walks on until none goes on; return how many slices that took."""
    number = 0
    while await world.deciding.step(0):
        number += 1
    return number


async def test_a_campaign_for_some_that_begins_during_one_for_all_is_done_long_before_it() -> None:
    world = await crowd(MANY)
    some = [f"u{one:05d}" for one in range(0, MANY, 50)]
    campaign(world, "large", NOON)
    campaign(world, "small", NOON + timedelta(seconds=1), {"users": some})
    await world.run()
    world.now = NOON
    world.put("clock", {"at": NOON.isoformat()}, partition=0)
    await world.one_round()
    world.put("clock", {"at": (NOON + timedelta(seconds=1)).isoformat()}, partition=0)
    await world.run()
    found = names(world)
    assert (found.count("large"), found.count("small")) == (MANY, len(some))
    # A slice before it, and one for each of the turns that it may take.
    assert jobs_before_the_end_of(world, "small") <= 3 * CHUNK


async def test_a_campaign_in_many_zones_at_once_has_no_more_turns_than_one_in_a_single_zone() -> (
    None
):
    world = await crowd(MANY, ZONES)
    campaign(world, "everywhere", NOON)
    campaign(world, "tokyo", NOON, {"timezones": ["Asia/Tokyo"]})
    await world.tick(NOON)
    found = names(world)
    assert (found.count("everywhere"), found.count("tokyo")) == (MANY, MANY // len(ZONES))
    assert jobs_before_the_end_of(world, "tokyo") <= 3 * CHUNK


async def test_a_campaign_for_listed_people_looks_at_nobody_else() -> None:
    world = await crowd(MANY, ZONES)
    campaign(world, "listed", NOON, {"users": ["u00007", "u03000", "u04999", "stranger"]})
    await world.run()
    world.put("clock", {"at": NOON.isoformat()}, partition=0)
    await world.process("clock", 0)
    # One for each zone, if they were looked for in each; one in all, and some on a slow machine.
    assert await slices(world) < 4
    assert {job.user_id for job in world.jobs()} == {"u00007", "u03000", "u04999"}


async def test_a_campaign_for_many_listed_people_goes_on_from_slice_to_slice() -> None:
    world = await crowd(MANY)
    listed = {f"u{one:05d}" for one in range(0, MANY, 3)}
    campaign(world, "listed", NOON, {"users": [*sorted(listed), "stranger"]})
    await world.tick(NOON)
    assert {job.user_id for job in world.jobs()} == listed
    assert world.job_ids()["tip"] == len(listed)


async def test_a_slice_goes_on_with_the_next_zone_while_there_is_time() -> None:
    world = await crowd(CHUNK // 10, ZONES)
    campaign(world, "everywhere", NOON)
    await world.run()
    world.put("clock", {"at": NOON.isoformat()}, partition=0)
    await world.process("clock", 0)
    assert await slices(world) < len(ZONES)
    assert len(world.jobs()) == CHUNK // 10


async def test_a_walk_that_waits_for_the_bulk_lane_holds_up_no_urgent_one() -> None:
    world = await crowd(20)
    world.bulk_lag = 5001
    campaign(world, "tips", NOON)
    letter = {
        "campaign_id": "letter",
        "kind": "letter",
        "at": NOON.isoformat(),
        "context": {"subject": "S"},
    }
    world.put("campaigns", letter, key="letter", partition=0)
    await world.tick(NOON)
    assert {job.kind for job in world.jobs()} == {"letter"}
    assert len(world.jobs()) == 20
    world.bulk_lag = 5000
    await world.tick(NOON + timedelta(seconds=1))
    assert len(names(world)) == 20
