"""What a client may send: how large, how fast, and what is answered."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSMsgType

from sender.web.incoming import FRAMES_AT_ONCE
from tests.sender.web.conftest import Client, ended, frame, hello, token
from tests.sender.web.raw import Raw


@pytest.mark.parametrize("size", [4097, 5000, 70_000])
async def test_a_frame_over_four_kilobytes_closes_with_1009(client: Client, size: int) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await opened.send_str("x" * size)
    assert await ended(opened) == 1009


async def test_a_first_frame_over_four_kilobytes_closes_with_1009(client: Client) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_str("x" * 4097)
    assert await ended(opened) == 1009


async def test_a_message_of_small_fragments_over_four_kilobytes_closes_with_1009(raw: Raw) -> None:
    await raw.open(token=token())
    await raw.frame()
    for number in range(5):
        await raw.send_bytes(0 if number else 1, b"x" * 1000)
    assert await raw.frame() == {"type": "close", "code": 1009}


async def test_a_frame_of_four_kilobytes_is_read(client: Client) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await opened.send_str("x" * 4096)
    assert (await frame(opened))["code"] == "bad_frame"


async def test_a_burst_that_is_allowed_is_answered(client: Client) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    for _ in range(FRAMES_AT_ONCE - 10):
        await opened.send_json({"type": "ping"})
    for _ in range(FRAMES_AT_ONCE - 10):
        assert (await frame(opened))["type"] == "pong"


@pytest.mark.parametrize("what", ["ping", "read", "nonsense", "binary", "protocol ping", "pong"])
async def test_a_flood_of_frames_closes_with_1008(client: Client, what: str) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    for _ in range(FRAMES_AT_ONCE + 50):
        match what:
            case "ping":
                await opened.send_json({"type": "ping"})
            case "read":
                await opened.send_json({"type": "read", "ids": [1]})
            case "nonsense":
                await opened.send_str("{")
            case "binary":
                await opened.send_bytes(b"x")
            case "protocol ping":
                await opened.ping()
            case _:
                await opened.pong()
    assert await ended(opened) == 1008


async def test_an_older_clients_flood_closes_with_1008(client: Client) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_str(token())
    for _ in range(FRAMES_AT_ONCE + 50):
        await opened.send_str("x")
    assert await ended(opened) == 1008


async def test_a_flood_before_the_token_closes_with_1008(client: Client) -> None:
    opened = await client.ws_connect("/ws")
    for _ in range(FRAMES_AT_ONCE + 50):
        await opened.ping()
    assert await ended(opened) == 1008


async def test_frames_at_an_even_pace_are_read_for_as_long_as_they_come(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.incoming.FRAMES_AT_ONCE", 5)
    opened = await hello(client)
    await frame(opened, "hello")
    for _ in range(20):
        await asyncio.sleep(0.03)
        await opened.send_json({"type": "ping"})
        assert (await frame(opened))["type"] == "pong"


async def test_a_ping_of_the_protocol_is_answered_before_and_after_the_token(
    client: Client,
) -> None:
    opened = await client.ws_connect("/ws", autoping=False)
    await opened.ping(b"one")
    assert await opened.receive(timeout=5) == (WSMsgType.PONG, b"one", "")
    await opened.send_json({"token": token()})
    await frame(opened, "hello")
    await opened.ping(b"two")
    assert await opened.receive(timeout=5) == (WSMsgType.PONG, b"two", "")


async def test_an_idle_socket_is_pinged_and_one_that_answers_stays_open(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.sockets.HEARTBEAT_SECONDS", 0.8)
    opened = await client.ws_connect("/ws", autoping=False)
    await opened.send_json({"token": token()})
    await frame(opened, "hello")
    for _ in range(2):
        assert (await opened.receive(timeout=5)).type is WSMsgType.PING
        await opened.pong()
    await opened.send_json({"type": "ping"})
    assert (await frame(opened, "pong")) == {"type": "pong"}


async def test_a_peer_that_answers_no_ping_is_gone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.sockets.HEARTBEAT_SECONDS", 0.2)
    opened = await client.ws_connect("/ws", autoping=False)
    await opened.send_json({"token": token()})
    await frame(opened, "hello")
    assert (await opened.receive(timeout=5)).type is WSMsgType.PING
    assert await ended(opened, 5) == 1006
