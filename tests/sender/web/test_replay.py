"""What a socket is told that could not hear, or came back: no hole, no repeat, nothing stale."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from redis.asyncio import Redis

from sender.inbox import Inbox
from streams.errors import RedisUnavailable
from streams.jobs import InboxEntry
from streams.serving import FILLED
from tests.sender.web.conftest import Client, Start, add, ended, frame, hello, token


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep few entries."""
    monkeypatch.setattr("sender.inbox.KEEP", 10)
    monkeypatch.setattr("sender.inbox.SPARE", 5)


async def notifications(opened: ClientWebSocketResponse, number: int) -> list[int]:
    return [(await frame(opened, "notification"))["id"] for _ in range(number)]


async def until_quiet(opened: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return all frames up to the answer to a ping."""
    await opened.send_json({"type": "ping"})
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] != "pong":
        frames.append(await frame(opened))
    return frames[:-1]


def ids(entries: Sequence[InboxEntry]) -> list[int]:
    return [entry.id for entry in entries]


# -- Redis emptied


async def test_what_comes_back_to_an_emptied_redis_is_not_skipped(
    client: Client, inbox: Inbox, redis: Redis
) -> None:
    entries = await add(inbox, 1, 2, 3)
    await redis.flushall()
    with pytest.raises(RedisUnavailable):
        # Else its id would be the client's cursor, with two entries before it still to come.
        await add(inbox, 4)
    early = await hello(client, last_id=entries[0].id)
    assert await ended(early) == 1013
    await inbox.restore("u", entries)
    await redis.set(FILLED, "again")
    later = await add(inbox, 4)
    opened = await hello(client, last_id=entries[0].id)
    assert await notifications(opened, 3) == ids([*entries[1:], *later])


async def test_a_socket_that_was_open_waits_until_redis_is_full_again(
    client: Client, inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.session.RETRY_SECONDS", 0.05)
    (first,) = await add(inbox, 1)
    opened = await hello(client)
    assert await notifications(opened, 1) == [first.id]
    await redis.flushall()
    await redis.client_kill_filter(_type="pubsub")
    await asyncio.sleep(0.3)
    assert await until_quiet(opened) == []
    await opened.send_json({"type": "read", "ids": [first.id]})
    assert (await frame(opened))["code"] == "unavailable"
    await inbox.restore("u", [first])
    await redis.set(FILLED, "again")
    later = await add(inbox, 2)
    assert await notifications(opened, 1) == ids(later)


# -- what is no longer kept


@pytest.mark.usefixtures("small")
async def test_after_a_gap_the_unread_count_is_told(client: Client, inbox: Inbox) -> None:
    entries = await add(inbox, *range(20))
    opened = await hello(client, last_id=entries[2].id)
    first, gap, *given, unread = [await frame(opened) for _ in range(13)]
    assert (first["type"], first["unread"]) == ("hello", 10)
    assert gap == {"type": "gap", "from": entries[2].id, "to": entries[9].id}
    assert [one["id"] for one in given] == ids(entries[10:])
    assert (unread["type"], unread["count"]) == ("unread", 10)


@pytest.mark.usefixtures("small")
async def test_a_cursor_at_the_last_entry_that_was_dropped_has_no_gap(
    client: Client, inbox: Inbox
) -> None:
    entries = await add(inbox, *range(20))
    opened = await hello(client, last_id=entries[9].id)
    assert [(await frame(opened))["type"] for _ in range(2)] == ["hello", "notification"]


@pytest.mark.usefixtures("small")
async def test_an_inbox_that_was_empty_has_a_gap_when_what_came_was_dropped_unseen(
    client: Client, inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.hub.RETRY_SECONDS", (2.0, 2.0))
    opened = await hello(client)
    await frame(opened, "hello")
    await until_quiet(opened)
    await redis.client_kill_filter(_type="pubsub")
    entries = await add(inbox, *range(20))
    assert await frame(opened) == {"type": "gap", "from": 0, "to": entries[9].id}
    assert await notifications(opened, 10) == ids(entries[10:])


@pytest.mark.usefixtures("small")
async def test_entries_that_are_dropped_are_not_counted_by_an_open_socket(
    client: Client, inbox: Inbox
) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    for number in range(15):
        await add(inbox, number)
    await notifications(opened, 15)
    counts = [one["count"] for one in await until_quiet(opened) if one["type"] == "unread"]
    assert counts[-1] == (await inbox.page("u")).state.unread == 10


# -- what was read meanwhile


async def test_what_was_read_while_a_tab_was_away_is_told_when_it_comes_back(
    client: Client, inbox: Inbox
) -> None:
    entries = await add(inbox, 1, 2, 3)
    await inbox.read("u", [entries[0].id])
    more = await add(inbox, 4)
    opened = await hello(client, last_id=entries[2].id)
    assert await frame(opened) == {
        "type": "hello",
        "user_id": "u",
        "unread": 3,
        "last_id": more[0].id,
        "unread_ids": ids(entries[1:]),
    }
    assert await notifications(opened, 1) == ids(more)


async def test_what_was_read_while_pub_sub_was_cut_is_told_to_open_tabs(
    client: Client, inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.hub.RETRY_SECONDS", (2.0, 2.0))
    entries = await add(inbox, 1, 2)
    opened = await hello(client)
    await notifications(opened, 2)
    await redis.client_kill_filter(_type="pubsub")
    await inbox.read("u", [entries[1].id])
    assert await frame(opened) == {
        "type": "unread",
        "count": 1,
        "read": [],
        "unread_ids": [entries[0].id],
    }


async def test_what_is_read_in_one_tab_is_read_in_another_workers_tab(
    start: Start, inbox: Inbox
) -> None:
    here, there = await start(), await start()
    entries = await add(inbox, 1, 2)
    one, other = await hello(here), await hello(there)
    for opened in (one, other):
        await notifications(opened, 2)
    await one.send_json({"type": "read", "ids": [entries[0].id]})
    for opened in (one, other):
        assert await frame(opened) == {"type": "unread", "count": 1, "read": [entries[0].id]}


# -- the older client


async def test_what_an_older_client_was_shown_without_redis_is_read_when_redis_is_back(
    client: Client, inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.session.RETRY_SECONDS", 0.05)
    opened = await client.ws_connect("/ws")
    await opened.send_str(token())
    await add(inbox, 1)
    assert await opened.receive_str(timeout=5) == "body 1"

    async def read() -> bool:
        return (await inbox.page("u")).state.unread == 0

    async with asyncio.timeout(5):
        while not await read():
            await asyncio.sleep(0.01)
    tried = asyncio.Event()
    real = inbox.read

    async def away(*args: Any, **options: Any) -> Any:
        tried.set()
        raise RedisUnavailable("away")

    monkeypatch.setattr(inbox, "read", away)
    await add(inbox, 2)
    assert await opened.receive_str(timeout=5) == "body 2"
    await tried.wait()
    assert not await read()
    monkeypatch.setattr(inbox, "read", real)
    async with asyncio.timeout(5):
        while not await read():
            await asyncio.sleep(0.01)
    await add(inbox, 3)
    assert await opened.receive_str(timeout=5) == "body 3"
