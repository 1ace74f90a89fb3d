"""Every door of a streams worker that a signed token opens, and every token that must not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from streams.links import LOGIN, MONTHS, PREFERENCES
from streams.web.guard import COOKIE, PURPOSE
from tests.signed import PURPOSES, Unlimited, aged, good, none_for
from tests.streams.web.conftest import Client, Neighbours, Start

#: Purpose and address; without a place in it the token is a form's field or a cookie.
DOORS = {
    "months": (MONTHS, "/me/{}"),
    "preferences": (PREFERENCES, "/preferences/{}"),
    "login": (LOGIN, "/login"),
    "campaigns": (PURPOSE, "/campaigns"),
    "status": (PURPOSE, "/status"),
    "statistics": (PURPOSE, "/users/u/statistics"),
}


@pytest.fixture(autouse=True)
def _known(neighbours: Neighbours) -> None:
    def month_of(user_id: str, month: str | None) -> dict[str, Any]:
        numbers = {"films": 0, "seconds": 0, "streak": 0, "late": 0, "genres": []}
        return {"user_id": user_id, "month": month or "2026-11", "top_genre": None, **numbers}

    neighbours.preferences["u"] = {"user_id": "u"}
    neighbours.statistics_of = month_of  # type: ignore[method-assign]


@pytest.fixture
async def client(start: Start, redis: Redis) -> Client:
    unlimited: Client = await start(limits=Unlimited(redis))
    return unlimited


async def status(client: Client, door: str, token: str) -> int:
    """Show a token at a door."""
    purpose, path = DOORS[door]
    client.session.cookie_jar.clear()
    if purpose == LOGIN:
        answer = await client.post(path, data={"link": token}, allow_redirects=False)
    else:
        cookie = {"Cookie": f"{COOKIE}={token}"} if purpose == PURPOSE else None
        answer = await client.get(path.format(token), headers=cookie)
    return answer.status


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_opens_for_its_own_tokens_to_the_end_of_their_time(
    client: Client, door: str
) -> None:
    purpose = DOORS[door][0]
    for token in (good(purpose), aged(purpose, timedelta(seconds=-30))):
        assert await status(client, door, token) in (200, 303)


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_stays_shut_for_foreign_expired_and_altered_tokens(
    client: Client, door: str
) -> None:
    opened = [
        what
        for what, token in none_for(DOORS[door][0])
        if await status(client, door, token) not in (401, 404)
    ]
    assert opened == []


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("path", ["/users/u/statistics", "/users/u/deliveries", "/status"])
async def test_no_token_of_a_link_is_a_key_or_a_persons_own(
    client: Client, purpose: str, path: str
) -> None:
    headers = {"Authorization": f"Bearer {good(purpose)}"}
    assert (await client.get(path, headers=headers)).status == 401
