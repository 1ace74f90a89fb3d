"""Every door of a sender that a signed token opens, and every token that must not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from streams.links import PREFERENCES, UNSUBSCRIBE
from tests.sender.web.conftest import Client, Neighbours, Start, ended, token
from tests.signed import PURPOSES, Unlimited, aged, good, none_for

#: Purpose and address by what is done.
DOORS = {
    "GET unsubscribe": UNSUBSCRIBE,
    "POST unsubscribe": UNSUBSCRIBE,
    "GET preferences": PREFERENCES,
    "POST preferences": PREFERENCES,
}


@pytest.fixture
async def client(start: Start, redis: Redis) -> Client:
    unlimited: Client = await start(limits=Unlimited(redis))
    return unlimited


async def status(client: Client, door: str, shown: str) -> int:
    """Show a token at a door."""
    method, _, name = door.partition(" ")
    fields = {"locale": "ru"} if name == "preferences" and method == "POST" else None
    url = f"/{name}/{shown}"
    async with client.request(method, url, data=fields, allow_redirects=False) as answer:
        return answer.status


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_opens_for_its_own_tokens_to_the_end_of_their_time(
    client: Client, door: str
) -> None:
    for one in (good(DOORS[door]), aged(DOORS[door], timedelta(seconds=-30))):
        assert await status(client, door, one) in (200, 303)


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_stays_shut_for_foreign_expired_and_altered_tokens(
    client: Client, neighbours: Neighbours, door: str
) -> None:
    shown = [*none_for(DOORS[door]), ("a person's own token", token())]
    opened = [what for what, one in shown if await status(client, door, one) != 404]
    assert opened == []
    assert neighbours.written == []


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_no_token_of_a_link_confirms_an_address_or_opens_a_socket(
    client: Client, neighbours: Neighbours, purpose: str
) -> None:
    for method in ("GET", "POST"):
        assert (await client.request(method, f"/confirm/{good(purpose)}")).status == 404
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": good(purpose)})
    assert await ended(opened) == 4401
    assert neighbours.written == []
