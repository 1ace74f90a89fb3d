"""What the pages are told of the tables."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from streams.lookups import COUNTED, Lookups
from tests.streams.world import World

PEOPLE = 5 * COUNTED


def lookups(world: World) -> Lookups:
    """Return lookups into a world of one partition."""
    app = SimpleNamespace(cinema=world.settings, owned=lambda topic: [0])
    return Lookups(app, world.memory)  # type: ignore[arg-type]


async def world_of(people: int) -> World:
    """Return a world with a campaign for those of its people who read Russian: every other one."""
    world = World(partitions=1)
    await world.tick(world.now)
    for number in range(people):
        profile = {"email": f"u{number}@example.com", "locale": ("en", "ru")[number % 2]}
        world.put("users", profile | {"user_id": f"u{number}"}, key=f"u{number}")
    campaign = {"kind": "tip", "cron": "0 12 * * *", "audience": {"locale": "ru"}}
    world.put("campaigns", campaign | {"campaign_id": "c"}, key="c")
    await world.run()
    return world


async def test_while_an_audience_is_counted_others_have_their_turns() -> None:
    world = await world_of(PEOPLE)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            # Someone leaves who has not been counted yet.
            world.memory.partitions_held[0].users.rows.pop(f"u{PEOPLE - turns}", None)
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    found = {one["campaign_id"]: one for one in await lookups(world).campaigns()}
    task.cancel()
    assert turns >= PEOPLE // COUNTED
    assert PEOPLE // 2 - turns <= found["c"]["audience_now"] <= PEOPLE // 2


async def test_an_audience_is_told_with_the_number_of_its_ids_alone() -> None:
    world = await world_of(2)
    audience = {"users": ["u1", "u0", "x"], "watched": {"series_id": "s", "days": 7}}
    campaign = {"campaign_id": "c", "kind": "tip", "local_at": "2099-01-01T12:00:00"}
    world.put("campaigns", campaign | {"audience": audience}, key="c")
    await world.run()
    found = {one["campaign_id"]: one for one in await lookups(world).campaigns()}
    assert found["c"]["audience"]["users"] == 3
    assert found["c"]["audience"]["watched"]["days"] == 7
    assert "idle_days" not in found["c"]["audience"]
    assert (found["c"]["local_at"], found["c"]["at"], found["c"]["cron"]) == (
        "2099-01-01T12:00:00",
        None,
        None,
    )
    assert found["weekly_reminder"]["audience"] == "all"
