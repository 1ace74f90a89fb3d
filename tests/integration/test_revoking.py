"""Tokens that an operator takes away, on a running stack."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientWebSocketResponse
from redis.asyncio import Redis

from streams.serving import connect
from tests.integration.cinema import Cinema
from tests.integration.commands import Commands

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def closed_with(socket: ClientWebSocketResponse, seconds: float = 20) -> int | None:
    """Wait until a socket is closed and return the code."""
    async with asyncio.timeout(seconds):
        async for _ in socket:
            pass
    return socket.close_code


async def statuses(cinema: Cinema, user: str, token: str) -> set[int]:
    """Ask with a token for all that is a person's own; return the statuses."""
    found = set()
    for what in ("statistics", "deliveries", "preferences"):
        url = f"{cinema.streams}/users/{user}/{what}"
        async with cinema.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            found.add(answer.status)
    return found


async def first_frame(cinema: Cinema, token: str) -> tuple[str, int | None]:
    """Open a socket with a token; return the first frame's type, and the code of its end."""
    async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
        await socket.send_json({"token": token})
        kind = (await socket.receive_json(timeout=10))["type"]
        return kind, None if kind == "hello" else await closed_with(socket)


async def test_a_revoked_token_loses_its_socket_and_opens_nothing_nor_after_redis_was_emptied(
    cinema: Cinema, commands: Commands
) -> None:
    user, other = await cinema.person(), await cinema.person()
    await cinema.settle()
    token, others = cinema.token(user), cinema.token(other)
    assert await statuses(cinema, user, token) == {200}
    async with (
        cinema.http.ws_connect(f"{cinema.sender}/ws") as socket,
        cinema.http.ws_connect(f"{cinema.sender}/ws") as bystander,
    ):
        await socket.send_json({"token": token})
        await bystander.send_json({"token": others})
        for one in (socket, bystander):
            assert (await one.receive_json(timeout=10))["type"] == "hello"
        ran = await commands("sender", "revoke", "user", user)
        assert (ran.status, ran.lines) == (0, ["1 revoked"])
        assert await closed_with(socket) == 4401
        await bystander.send_json({"type": "ping"})
        assert (await bystander.receive_json(timeout=10))["type"] == "pong"
    assert await first_frame(cinema, token) == ("error", 4401)
    assert await statuses(cinema, user, token) == {401}

    redis: Redis = connect(cinema.up.addresses.redis)
    await redis.flushall()

    async def refilled() -> bool:
        return await redis.get("filled") is not None and await cinema.ready()

    # Nobody may slip in while it is filled either.
    while not await refilled():
        assert await statuses(cinema, user, token) <= {401, 503}
    await redis.aclose()
    assert await first_frame(cinema, token) == ("error", 4401)
    assert await statuses(cinema, user, token) == {401}
    assert await first_frame(cinema, others) == ("hello", None)
    assert await statuses(cinema, other, others) == {200}
