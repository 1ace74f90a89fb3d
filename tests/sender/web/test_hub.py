"""Nothing is missed and nothing repeated, whatever is cut meanwhile."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from redis.asyncio import Redis

from sender.inbox import Added, Changed, Inbox
from sender.web.feed import BUFFER, Feed
from sender.web.hub import Hub
from tests.sender.web.conftest import (
    Client,
    RedisServer,
    Start,
    add,
    draft,
    ended,
    frame,
    hello,
    token,
)


def added(number: int) -> Added:
    return Added(number - 1, number, draft(number).numbered(number))


async def test_a_feed_begins_behind_and_takes_messages_after_a_replay() -> None:
    feed = Feed(b"seat")
    feed.put(added(1))
    assert feed.behind
    assert feed.take() is None
    feed.catch_up()
    feed.put(added(2))
    assert feed.take() == added(2)
    assert feed.take() is None


async def test_a_feed_that_is_full_asks_for_a_replay_instead_of_growing() -> None:
    feed = Feed(b"seat")
    feed.catch_up()
    for number in range(BUFFER):
        feed.put(added(number))
    assert not feed.behind
    feed.put(Changed())
    assert feed.behind
    assert feed.take() is None


async def test_a_lost_pub_sub_connection_misses_nothing(
    client: Client, inbox: Inbox, redis: Redis
) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    for number in range(20):
        if number % 4 == 0:
            await redis.client_kill_filter(_type="pubsub")
        await add(inbox, number)
    got = [(await frame(opened, "notification"))["body"] for _ in range(20)]
    assert got == [f"body {number}" for number in range(20)]


async def test_a_redis_that_starts_again_misses_nothing(
    client: Client, inbox: Inbox, redis_of_pages: RedisServer
) -> None:
    opened = await hello(client)
    await frame(opened, "hello")
    await add(inbox, 1)
    assert (await frame(opened, "notification"))["body"] == "body 1"
    redis_of_pages.stop()
    await asyncio.sleep(0.2)
    redis_of_pages.start()
    await add(inbox, 2)
    assert (await frame(opened, "notification"))["body"] == "body 2"


async def test_without_redis_a_socket_is_asked_to_come_back(
    client: Client, redis_of_pages: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.hub.ACK_SECONDS", 0.3)
    redis_of_pages.stop()
    try:
        opened = await hello(client)
        assert (await frame(opened, "error"))["code"] == "unavailable"
        assert await ended(opened) == 1013
    finally:
        redis_of_pages.start()


async def test_an_erased_inbox_takes_up_again_with_what_is_new(
    client: Client, inbox: Inbox
) -> None:
    await add(inbox, 1)
    opened = await hello(client)
    await frame(opened, "notification")
    await inbox.erase("u")
    assert (await frame(opened, "unread"))["count"] == 0
    await add(inbox, 2)
    assert (await frame(opened, "notification"))["body"] == "body 2"


async def test_a_subscription_that_one_gave_up_waiting_for_is_there_for_others(
    redis_of_pages: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.hub.ACK_SECONDS", 2.0)
    hub = Hub(redis_of_pages.url)
    await hub.start()
    try:
        await hub.join("nobody", Feed(b"0"))
        async with hub._sending:
            gone = asyncio.create_task(hub.join("u", Feed(b"1")))
            await asyncio.sleep(0)
            waits = asyncio.create_task(hub.join("u", Feed(b"2")))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
        await asyncio.wait_for(waits, 5)
        await hub.join("u", Feed(b"3"))
    finally:
        await hub.stop()


class Reader:
    """A client that reconnects as it likes and writes down what it got."""

    def __init__(self, clients: list[Client], user: str, dice: random.Random) -> None:
        self._clients, self._user, self._dice = clients, user, dice
        self.got: list[int] = []
        self.reconnects = 0

    async def read(self, until: int) -> None:
        while len(self.got) < until:
            client = self._dice.choice(self._clients)
            opened: ClientWebSocketResponse = await client.ws_connect("/ws")
            first: dict[str, Any] = {"token": token(self._user)}
            if self.got:
                first["last_id"] = self.got[-1]
            await opened.send_json(first)
            patience = self._dice.randrange(1, 60)
            while patience and len(self.got) < until:
                message = await opened.receive(timeout=20)
                if message.type.name != "TEXT":
                    break
                if '"notification"' in message.data:
                    self.got.append(message.json()["id"])
                    patience -= 1
            self.reconnects += 1
            # Some say goodbye, some are torn off.
            if self._dice.random() < 0.5:
                await opened.close()
            else:
                opened._response.close()


async def test_random_reconnects_and_cuts_miss_nothing_and_repeat_nothing(
    start: Start, inbox: Inbox, redis: Redis
) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    clients = [await start(), await start()]
    users, each = [f"user {n}" for n in range(4)], 200
    readers = [Reader(clients, user, random.Random(dice.random())) for user in users]
    sent: dict[str, list[int]] = {user: [] for user in users}

    async def write() -> None:
        left = {user: list(range(each)) for user in users}
        while any(left.values()):
            user = dice.choice([user for user in users if left[user]])
            count = dice.randrange(1, 6)
            numbers, left[user] = left[user][:count], left[user][count:]
            sent[user] += [entry.id for entry in await add(inbox, *numbers, user=user)]
            if dice.random() < 0.03:
                await redis.client_kill_filter(_type="pubsub")
            await asyncio.sleep(dice.random() * 0.005)

    await asyncio.gather(write(), *(reader.read(each) for reader in readers))
    for user, reader in zip(users, readers, strict=True):
        assert reader.got == sent[user]
    assert sum(reader.reconnects for reader in readers) > 20
