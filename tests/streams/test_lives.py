"""Someone who was erased and comes back: another life, in which everything may be said again."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.streams.test_deciding import registration
from tests.streams.world import World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def ids(world: World) -> Counter[str]:
    """Return the job ids that lie on the topics, by kind, each once."""
    said = {job.job_id: job.kind for job in (*world.jobs(), *world.held())}
    said |= {one.job_id: one.kind for one in world.deliveries()}
    return Counter(said.values())


async def leave(world: World, user_id: str = "ann") -> None:
    world.put("users", None, key=user_id)
    await world.run()
    await world.tick(world.now + SECOND)


async def back() -> World:
    """Return a world of one partition in which Ann has left and come back."""
    world = World(partitions=1)
    await world.tick(NOON)
    world.put("registration", registration("ann"))
    await leave(world)
    world.put("registration", registration("ann"))
    await world.run()
    return world


async def test_who_comes_back_is_greeted_under_another_id_and_counted_again() -> None:
    world = World()
    await world.tick(NOON)
    for _ in range(3):
        world.put("registration", registration("ann"))
        await world.run()
        await leave(world)
    greetings = [job for job in world.jobs() if job.kind == "welcome"]
    assert len({job.job_id for job in greetings}) == len(greetings) == 3
    assert world.job_ids() == dict(ids(world))


async def test_what_happens_once_happens_once_in_each_life() -> None:
    world = World(partitions=1)
    world.put("films", {"film_id": "f", "title": "F"})
    campaign = {"campaign_id": "c", "kind": "tip", "cron": "0 15 * * *"}
    world.put("campaigns", campaign)
    await world.tick(NOON)
    for _ in range(2):
        world.put("registration", registration("ann"))
        await world.run()
        await world.tick(world.now + SECOND)
        world.put("activity", {"user_id": "ann", "body": "hi", "event_id": "e1"})
        watch = {"user_id": "ann", "film_id": "g", "seconds": 60, "at": "2026-10-10T10:00:00Z"}
        world.put("watch_history", watch)
        await world.run()
        for topic, event in (("weekly_reminder", "reminder"), ("monthly_statistic", "statistic")):
            for _ in range(2):
                world.put(topic, {"event": f"send_{event}", "users": ["ann"]})
        await world.run()
        await leave(world)
    assert world.job_ids() == dict(ids(world))
    said = Counter(job.kind for job in world.jobs())
    assert said == {"welcome": 2, "activity": 2, "weekly_reminder": 2, "monthly_statistic": 2}


async def test_nobody_elses_job_ids_are_others_for_it() -> None:
    world, without = World(), World()
    world.put("registration", registration("bob"))
    without.put("registration", registration("bob"))
    await leave(world)
    await without.run()
    assert [job.job_id for job in world.jobs()] == [job.job_id for job in without.jobs()]


async def test_the_life_lasts_though_the_erasure_is_forgotten() -> None:
    world = await back()
    await world.tick(NOON + timedelta(days=61))
    assert world.tables("ann").erased.rows == {}
    changelog = world.log.records["changelog", 0]
    assert [one.value for one in changelog if one.key == b"erased:ann"][-1] is None
    assert world.tables("ann").users.of("ann").life
    world.start()
    assert world.tables("ann").users.of("ann").life


async def test_a_job_that_rested_is_skipped_when_its_person_leaves_and_not_the_next_lifes() -> None:
    world = World(partitions=1)
    await world.tick(NOON.replace(hour=23))
    for _ in range(2):
        world.put("registration", registration("ann"))
        watch = {"user_id": "ann", "film_id": "g", "seconds": 60, "at": "2026-10-10T10:00:00Z"}
        world.put("watch_history", watch)
        await world.run()
        world.put("monthly_statistic", {"event": "send_statistic", "users": ["ann"]})
        await world.run()
        if len(world.held()) == 1:
            await leave(world)
    first, second = world.held()
    assert first.job_id != second.job_id
    erased = [one for one in world.deliveries() if one.reason == "erased"]
    assert [one.job_id for one in erased] == [first.job_id]
    assert set(world.tables("ann").deferred.rows) == {second.job_id}
    assert world.job_ids() == dict(ids(world))


async def test_a_job_on_its_way_to_rest_does_not_rest_when_its_person_has_left() -> None:
    world = World(partitions=1)
    await world.tick(NOON)
    world.put("registration", registration("ann"))
    await world.run()
    (job,) = world.jobs()
    await leave(world)
    # The mail server was busy: the sender wants it tried again.
    again = json.loads(world.log.records["outbox_urgent", 0][0].value)
    again |= {"attempt": 1, "not_before": (NOON + timedelta(minutes=1)).isoformat()}
    world.put("held", again, key="ann")
    await world.run()
    assert world.tables("ann").deferred.rows == {}
    (gone,) = world.deliveries()
    assert (gone.job_id, gone.status, gone.reason) == (job.job_id, "skipped", "erased")
    assert world.job_ids() == {"welcome": 1}
    assert b"ann@example.com" not in last_values(world)["deferred"]


async def test_a_tombstone_that_comes_again_does_not_erase_who_has_come_back() -> None:
    world = await back()
    headers = [("cinema-origin", b"users/0/0")]
    world.put("users", None, key="ann", headers=headers)
    await world.run()
    assert world.outcomes("users") == {"decided": 1, "duplicate": 1}
    assert world.tables("ann").users.of("ann").greeted
    world.put("users", None, key="ann")
    await world.run()
    assert world.outcomes("users") == {"decided": 2, "duplicate": 1}
    assert "ann" not in world.tables("ann").users


def last_values(world: World) -> dict[str, bytes]:
    """Return what a compacted changelog still holds of each table."""
    last: dict[bytes, Any] = {one.key: one.value for one in world.log.records["changelog", 0]}
    found: dict[str, bytes] = dict.fromkeys(("users", "deferred", "watch_history"), b"")
    for key, value in last.items():
        if value:
            table = key.decode().partition(":")[0]
            found[table] = found.get(table, b"") + value
    return found
