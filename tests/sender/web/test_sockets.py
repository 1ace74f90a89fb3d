"""`GET /ws`: the door, the protocol, and how sockets end."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest
from aiohttp import WSServerHandshakeError

from sender.inbox import Inbox
from streams.topics import INBOX
from tests.sender.web.conftest import (
    ORIGIN,
    Client,
    Neighbours,
    Start,
    add,
    ended,
    frame,
    hello,
    token,
)

# -- the door


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        f"{ORIGIN}.evil.example",
        f"{ORIGIN}:8443",
        ORIGIN.upper(),
    ],
)
async def test_a_page_of_another_origin_gets_403_before_the_upgrade(
    client: Client, origin: str
) -> None:
    with pytest.raises(WSServerHandshakeError) as caught:
        await client.ws_connect("/ws", headers={"Origin": origin})
    assert caught.value.status == 403


@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN}])
async def test_an_allowed_origin_and_a_missing_one_come_in(
    client: Client, headers: dict[str, str]
) -> None:
    opened = await client.ws_connect("/ws", headers=headers)
    await opened.send_json({"token": token()})
    assert (await frame(opened))["type"] == "hello"


async def test_who_says_nothing_for_five_seconds_is_closed_with_4408(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.sockets.FIRST_SECONDS", 0.2)
    opened = await client.ws_connect("/ws")
    start = time.monotonic()
    assert await ended(opened) == 4408
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "first",
    [
        {"token": "wrong"},
        {"token": token(seconds=-1)},
        {"token": None},
        {"token": token(), "last_id": -1},
        {"token": token(), "last_id": "5"},
        {"token": token(), "last_id": 1 << 53},
        {},
        [],
        "text",
        1,
        None,
    ],
)
async def test_a_bad_token_gets_an_error_frame_and_4401(client: Client, first: Any) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_str(json.dumps(first))
    said = await frame(opened)
    assert (said["type"], said["code"]) == ("error", "unauthorized")
    assert await ended(opened) == 4401


@pytest.mark.parametrize("first", ["wrong", token(seconds=-1), "a.b.c", "é" * 100])
async def test_a_bad_token_of_an_older_client_gets_the_text_error_and_4401(
    client: Client, first: str
) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_str(first)
    assert await opened.receive_str(timeout=5) == "Error"
    assert await ended(opened) == 4401


async def test_a_binary_first_frame_is_closed_with_4401(client: Client) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_bytes(token().encode())
    await frame(opened, "error")
    assert await ended(opened) == 4401


async def test_a_frame_over_four_kilobytes_is_closed_with_1009(client: Client) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await opened.send_str("x" * 5000)
    assert await ended(opened) == 1009


async def test_a_token_that_expires_closes_the_socket_with_4401(client: Client) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(seconds=1.1)})
    await frame(opened, "hello")
    assert await ended(opened, 4) == 4401


async def test_a_new_token_in_time_keeps_the_socket_open(client: Client, inbox: Inbox) -> None:
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(seconds=1.1)})
    await frame(opened, "hello")
    await opened.send_json({"type": "token", "token": token(seconds=60)})
    await asyncio.sleep(1.3)
    await add(inbox, 1)
    assert (await frame(opened, "notification"))["body"] == "body 1"


@pytest.mark.parametrize("new", [token("somebody else"), token(seconds=-1), "wrong"])
async def test_a_new_token_that_is_bad_or_anothers_closes_with_4401(
    client: Client, new: str
) -> None:
    opened = await hello(client)
    await opened.send_json({"type": "token", "token": new})
    assert (await frame(opened, "error"))["code"] == "unauthorized"
    assert await ended(opened) == 4401


async def test_the_sixth_socket_of_a_user_closes_the_oldest_with_4429(client: Client) -> None:
    sockets = [await hello(client) for _ in range(5)]
    for opened in sockets:
        await frame(opened, "hello")
    sixth = await hello(client)
    await frame(sixth, "hello")
    assert await ended(sockets[0]) == 4429
    for opened in [*sockets[1:], sixth]:
        await opened.send_json({"type": "ping"})
        await frame(opened, "pong")


async def test_sockets_are_counted_over_all_workers(start: Start) -> None:
    first, second = await start(), await start()
    oldest = await hello(first)
    await frame(oldest, "hello")
    others = [await hello(second) for _ in range(5)]
    for opened in others:
        await frame(opened, "hello")
    assert await ended(oldest) == 4429


async def test_a_socket_that_left_makes_room(client: Client) -> None:
    sockets = [await hello(client) for _ in range(5)]
    for opened in sockets:
        await frame(opened, "hello")
    await sockets[3].close()
    await asyncio.sleep(0.1)
    sixth = await hello(client)
    await frame(sixth, "hello")
    await sockets[0].send_json({"type": "ping"})
    assert (await frame(sockets[0], "pong")) == {"type": "pong"}


async def test_one_person_sees_nothing_of_another(client: Client, inbox: Inbox) -> None:
    mine, other = await hello(client, "u"), await hello(client, "v")
    await frame(mine, "hello")
    await frame(other, "hello")
    entries = await add(inbox, 1, user="v")
    assert (await frame(other, "notification"))["body"] == "body 1"
    await mine.send_json({"type": "read", "ids": [entries[0].id]})
    await mine.send_json({"type": "ping"})
    assert (await frame(mine))["type"] == "pong"
    assert (await inbox.page("v")).state.unread == 1


async def test_a_server_that_stops_closes_with_1001(start: Start) -> None:
    client = await start()
    opened = await hello(client)
    await frame(opened, "hello")
    closing = asyncio.create_task(ended(opened))
    begin = time.monotonic()
    await client.server.close()
    assert await closing == 1001
    assert time.monotonic() - begin < 2


# -- the protocol


async def test_hello_says_where_the_inbox_stands(client: Client, inbox: Inbox) -> None:
    entries = await add(inbox, 1, 2)
    await inbox.read("u", [entries[0].id])
    opened = await hello(client)
    assert await frame(opened) == {
        "type": "hello",
        "user_id": "u",
        "unread": 1,
        "last_id": entries[1].id,
    }


async def test_entries_come_in_order_with_all_fields(client: Client, inbox: Inbox) -> None:
    entries = await add(inbox, *range(250))
    await inbox.read("u", [entries[0].id])
    opened = await hello(client)
    await frame(opened, "hello")
    got = [await frame(opened) for _ in entries]
    assert [one["id"] for one in got] == [entry.id for entry in entries]
    assert got[0] == {
        "type": "notification",
        "id": entries[0].id,
        "kind": "activity",
        "title": "",
        "body": "body 0",
        "url": "",
        "created_at": "2026-11-22T12:00:00+00:00",
        "read": True,
    }
    assert not got[1]["read"]


async def test_a_live_entry_comes_at_once_with_the_new_count(client: Client, inbox: Inbox) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    entries = await add(inbox, 1)
    assert (await frame(opened))["id"] == entries[0].id
    assert await frame(opened) == {"type": "unread", "count": 1, "read": []}


async def test_after_last_id_nothing_is_missed_or_repeated(client: Client, inbox: Inbox) -> None:
    entries = await add(inbox, 1, 2, 3)
    opened = await hello(client, last_id=entries[1].id)
    await frame(opened, "hello")
    assert (await frame(opened))["id"] == entries[2].id
    more = await add(inbox, 4)
    assert (await frame(opened))["id"] == more[0].id


async def test_what_is_read_in_one_tab_is_read_in_all(
    client: Client, inbox: Inbox, neighbours: Neighbours
) -> None:
    entries = await add(inbox, 1, 2, 3)
    here, there = await hello(client), await hello(client)
    for opened in (here, there):
        for _ in range(4):
            await frame(opened)
    ids = [entry.id for entry in entries[:2]]
    await here.send_json({"type": "read", "ids": [*ids, 12345]})
    for opened in (here, there):
        assert await frame(opened) == {"type": "unread", "count": 1, "read": ids}
    for _ in range(100):
        if neighbours.written:
            break
        await asyncio.sleep(0.01)
    (written,) = neighbours.written
    assert (written.topic, written.key) == (INBOX, "u")
    assert msgspec.json.decode(written.value or b"") == {"read": ids}


async def test_what_is_read_is_written_when_the_broker_is_back(
    client: Client, inbox: Inbox, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.reads.RETRY_SECONDS", 0.05)
    neighbours.broker_is_away = True
    entries = await add(inbox, 1)
    opened = await hello(client)
    await frame(opened, "notification")
    await opened.send_json({"type": "read", "ids": [entries[0].id]})
    assert (await frame(opened, "unread"))["count"] == 0
    await asyncio.sleep(0.3)
    neighbours.broker_is_away = False
    async with asyncio.timeout(2):
        while not neighbours.written:
            await asyncio.sleep(0.01)
    assert msgspec.json.decode(neighbours.written[0].value or b"") == {"read": [entries[0].id]}


async def test_a_ping_is_answered(client: Client) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await opened.send_json({"type": "ping"})
    assert await frame(opened) == {"type": "pong"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"type": "shout"}',
        '{"type": "read"}',
        '{"type": "read", "ids": ["1"]}',
        '{"type": "read", "ids": [-1]}',
        '{"type": "read", "ids": [9007199254740992]}',
        '{"type": "token"}',
    ],
)
async def test_a_frame_that_is_not_in_the_protocol_is_an_error_and_no_end(
    client: Client, text: str
) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await opened.send_str(text)
    assert (await frame(opened))["code"] == "bad_frame"
    await opened.send_json({"type": "ping"})
    assert (await frame(opened))["type"] == "pong"


async def test_a_cursor_older_than_what_is_kept_gets_a_gap(
    client: Client, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.inbox.KEEP", 5)
    monkeypatch.setattr("sender.inbox.SPARE", 5)
    entries = await add(inbox, *range(12))
    kept = (await inbox.page("u")).entries
    assert len(kept) < 12
    opened = await hello(client, last_id=entries[0].id)
    await frame(opened, "hello")
    dropped = (await inbox.page("u")).state.dropped
    assert await frame(opened) == {"type": "gap", "from": entries[0].id, "to": dropped}
    assert [(await frame(opened))["id"] for _ in kept] == [one.entry.id for one in kept]


async def test_who_comes_for_the_first_time_gets_no_gap(
    client: Client, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.inbox.KEEP", 5)
    monkeypatch.setattr("sender.inbox.SPARE", 5)
    await add(inbox, *range(12))
    opened = await hello(client)
    await frame(opened, "hello")
    assert (await frame(opened))["type"] == "notification"


# -- the older client


async def test_an_older_client_gets_each_unread_body_once_as_text(
    client: Client, inbox: Inbox
) -> None:
    entries = await add(inbox, 1, 2, 3)
    await inbox.read("u", [entries[1].id])
    opened = await client.ws_connect("/ws")
    await opened.send_str(token())
    assert [await opened.receive_str(timeout=5) for _ in range(2)] == ["body 1", "body 3"]
    await add(inbox, 4)
    assert await opened.receive_str(timeout=5) == "body 4"
    async with asyncio.timeout(2):
        while (await inbox.page("u")).state.unread:
            await asyncio.sleep(0.01)
    await opened.close()
    again = await client.ws_connect("/ws")
    await again.send_str(token())
    await add(inbox, 5)
    assert await again.receive_str(timeout=5) == "body 5"
