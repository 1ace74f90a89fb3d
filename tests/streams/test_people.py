"""What is known of one person, as the pages are told it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sender.catalogue import TEMPLATES
from streams.errors import Recovering
from streams.people import People
from tests.streams.world import World


@pytest.fixture
async def world() -> World:
    world = World(partitions=1)
    await world.tick(world.now)
    profile = {"user_id": "ann", "email": "ann@example.org", "username": "Ann", "locale": "ru"}
    world.put("users", profile | {"timezone": "Europe/Berlin"}, key="ann")
    world.put("films", {"film_id": "m", "title": "Metropolis", "genres": ["drama"]}, key="m")
    await world.run()
    return world


def people(world: World, *, recovered: bool = True) -> People:
    """Return the people of a world of one partition."""
    app = SimpleNamespace(
        cinema=world.settings, owned=lambda topic: [0], recovered=lambda: recovered
    )
    read = asyncio.Event()
    read.set()
    return People(app, world.memory, read)  # type: ignore[arg-type]


async def choose(world: World, **chosen: Any) -> None:
    world.put("preferences", {"user_id": "ann", **chosen}, key="ann")
    await world.run()


async def test_what_a_person_chose_stands_over_the_profile(world: World) -> None:
    until = (world.now + timedelta(days=3)).isoformat()
    quiet = {"from": "22:00", "to": "08:00"}
    await choose(world, locale="en", quiet_hours=quiet, channels={"tip": []}, pause_until=until)
    known = people(world).preferences("ann")
    assert (known["locale"], known["timezone"], known["quiet_hours"]) == (
        "en",
        "Europe/Berlin",
        quiet,
    )
    assert (known["channels"]["tip"], known["channels"]["episode"]) == ([], ["email", "websocket"])
    assert (known["pause_until"], known["taboo"]) == (until, False)


async def test_a_pause_that_is_over_is_none(world: World) -> None:
    await choose(world, pause_until=(world.now + timedelta(days=3)).isoformat())
    await world.tick(world.now + timedelta(days=3))
    assert people(world).preferences("ann")["pause_until"] is None


async def test_why_a_person_left_is_kept_until_they_come_back(world: World) -> None:
    await choose(world, unsubscribe=["tip", "episode"])
    await choose(world, unsubscribe=["tip"], reason="too_many")
    # One click in an old mail says no more than what is known.
    await choose(world, unsubscribe=["tip"])
    assert people(world).preferences("ann")["unsubscribed"] == {"tip": "too_many", "episode": None}
    await choose(world, resubscribe=["tip"])
    await choose(world, unsubscribe=["tip"])
    assert people(world).preferences("ann")["unsubscribed"] == {"episode": None, "tip": None}


async def test_a_long_reason_does_not_make_a_row_long(world: World) -> None:
    await choose(world, unsubscribe=["tip"], reason="x" * 10_000)
    assert len(people(world).preferences("ann")["unsubscribed"]["tip"]) == 200


async def test_of_a_stranger_the_defaults_are_told(world: World) -> None:
    known = people(world).preferences("nobody")
    assert (known["locale"], known["timezone"], known["quiet_hours"]) == ("en", "UTC", None)


@pytest.mark.parametrize("template", sorted(path.parent.name for path in TEMPLATES.glob("*/ru")))
async def test_a_preview_changes_nothing(world: World, template: str) -> None:
    before = world.memory.tables(0).users.of("ann")
    told = people(world).preview("ann", template)
    assert (told["to"], told["locale"], told["timezone"]) == (
        "ann@example.org",
        "ru",
        "Europe/Berlin",
    )
    assert told["context"]["username"] == "Ann"
    assert world.memory.tables(0).users.of("ann") is before


async def test_a_preview_has_what_the_mail_would_say_and_why_it_would_not_go(world: World) -> None:
    seen = {"user_id": "ann", "film_id": "m", "seconds": 60, "at": "2026-10-05T12:00:00Z"}
    assert people(world).preview("ann", "personal_selection")["context"]["films"][0]["title"] == (
        "Metropolis"
    )
    assert people(world).preview("ann", "statistics")["refusal"] == "there is nothing to tell"
    world.put("watch_history", seen, key="ann")
    await choose(world, unsubscribe=["weekly_reminder"])
    month = people(world).preview("ann", "statistics")
    assert (month["context"]["month"], month["context"]["films"]) == ("2026-10", 1)
    assert month["refusal"] is None
    assert people(world).preview("ann", "personal_selection")["refusal"] == "unsubscribed"
    assert people(world).preview("nobody", "tip")["refusal"] == "no address known"


async def test_while_the_tables_are_recovered_nothing_is_told(world: World) -> None:
    with pytest.raises(Recovering):
        people(world, recovered=False).preferences("ann")
    with pytest.raises(Recovering):
        people(world, recovered=False).preview("ann", "tip")
