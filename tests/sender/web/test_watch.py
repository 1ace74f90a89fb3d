"""A token that is taken away: its sockets end, on every worker, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from streams.revocations import Revocations, of_person, of_token
from streams.serving import FILLED
from tests.sender.web.conftest import (
    Client,
    RedisServer,
    Start,
    ended,
    frame,
    hello,
    token,
)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def revocations(redis: Redis) -> Revocations:
    return Revocations(redis)


async def test_a_stolen_token_that_was_revoked_opens_no_socket(
    client: Client, revocations: Revocations
) -> None:
    await revocations.fold([(of_token("stolen"), now())])
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(jti="stolen")})
    assert (await frame(opened))["code"] == "unauthorized"
    assert await ended(opened) == 4401
    older = await client.ws_connect("/ws")
    await older.send_str(token(jti="stolen"))
    assert await older.receive_str(timeout=5) == "Error"
    assert await ended(older) == 4401


async def test_revoking_a_person_closes_their_sockets_on_every_worker_and_nobody_elses(
    start: Start, revocations: Revocations
) -> None:
    first, second = await start(), await start()
    theirs = [await hello(first), await hello(second), await hello(second)]
    other = await hello(first, "v")
    for opened in (*theirs, other):
        await frame(opened, "hello")
    await revocations.fold([(of_person("u"), now())])
    assert [await ended(opened, 1) for opened in theirs] == [4401] * 3
    await other.send_json({"type": "ping"})
    await frame(other, "pong")


async def test_revoking_one_token_leaves_the_persons_other_sockets_open(
    client: Client, revocations: Revocations
) -> None:
    gone, stays = await client.ws_connect("/ws"), await hello(client)
    await gone.send_json({"token": token(jti="one")})
    await frame(gone, "hello")
    await frame(stays, "hello")
    await revocations.fold([(of_token("one"), now())])
    assert await ended(gone, 1) == 4401
    await stays.send_json({"type": "ping"})
    await frame(stays, "pong")


async def test_a_token_from_after_the_revocation_opens_a_socket_that_stays(
    client: Client, revocations: Revocations
) -> None:
    await revocations.fold([(of_person("u"), now())])
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(iat=int(now().timestamp()) + 1)})
    await frame(opened, "hello")
    await revocations.tell_all()
    await asyncio.sleep(0.2)
    await opened.send_json({"type": "ping"})
    await frame(opened, "pong")


async def test_a_socket_is_watched_by_the_token_it_was_renewed_with(
    client: Client, revocations: Revocations
) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(jti="first")})
    await frame(opened, "hello")
    await opened.send_json({"type": "token", "token": token(jti="second")})
    await opened.send_json({"type": "ping"})
    await frame(opened, "pong")
    await revocations.fold([(of_token("first"), now())])
    await asyncio.sleep(0.2)
    await opened.send_json({"type": "ping"})
    await frame(opened, "pong")
    await revocations.fold([(of_token("second"), now())])
    assert await ended(opened, 1) == 4401


async def test_a_revoked_token_renews_nothing(client: Client, revocations: Revocations) -> None:
    await revocations.fold([(of_token("stolen"), now())])
    opened = await hello(client)
    await opened.send_json({"type": "token", "token": token(jti="stolen")})
    assert (await frame(opened, "error"))["code"] == "unauthorized"
    assert await ended(opened) == 4401


async def test_what_was_revoked_while_a_workers_redis_was_away_is_heard_when_it_is_back(
    client: Client, redis: Redis, redis_of_pages: RedisServer, revocations: Revocations
) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(jti="one")})
    await frame(opened, "hello")
    redis_of_pages.stop()
    await asyncio.sleep(0.2)
    redis_of_pages.start()
    await revocations.fold([(of_token("one"), now())])
    assert await ended(opened, 5) == 4401


async def test_who_was_let_in_while_redis_was_empty_is_put_out_once_it_is_full(
    client: Client, redis: Redis, revocations: Revocations
) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(jti="one")})
    await frame(opened, "hello")
    await redis.delete(FILLED)
    await revocations.fold([(of_token("one"), now())], tell=False)
    await revocations.tell_all()
    await asyncio.sleep(0.2)
    assert not opened.closed
    await redis.set(FILLED, "again")
    assert await ended(opened, 3) == 4401


async def test_while_redis_is_not_full_nobody_is_let_in_and_asked_to_come_back(
    client: Client, redis: Redis
) -> None:
    await redis.delete(FILLED)
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token()})
    assert (await frame(opened))["code"] == "unavailable"
    assert await ended(opened) == 1013


async def test_the_watch_forgets_sockets_that_have_ended(
    client: Client, revocations: Revocations
) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await opened.close()
    await asyncio.sleep(0.1)
    await revocations.fold([(of_person("u"), now())])
    await asyncio.sleep(0.2)
    again = await client.ws_connect("/ws")
    await again.send_json({"token": token("v")})
    await frame(again, "hello")
