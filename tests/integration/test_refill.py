"""Redis emptied under running workers: what it served comes back exactly, and nobody who left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dev.workers import REDIRECT_HOSTS
from streams.jobs import address_hash
from streams.serving import connect, digest
from tests.conftest import eventually
from tests.integration.cinema import Cinema
from tests.integration.commands import Commands

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

Snapshot = dict[bytes, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def redis(cinema: Cinema) -> AsyncIterator[Redis]:
    client = connect(cinema.up.addresses.redis)
    yield client
    await client.aclose()


async def snapshot(redis: Redis) -> Snapshot:
    """Return all that can be put back: inboxes, lists, counts, suppressions, links, ended jobs."""
    found: Snapshot = {}
    generation: Any = await redis.get("dg") or b"0"
    async for key in redis.scan_iter(count=1000):
        name = key.partition(b":")[0]
        if name == b"i":
            found[key] = await redis.xrange(key)
        elif name in (b"iu", b"ij", b"dl"):
            found[key] = await redis.zrange(key, 0, -1, withscores=True)
        elif name in (b"is", b"suppressed"):
            found[key] = await redis.hgetall(key)
        elif name == b"ku":
            found[key] = await redis.smembers(key)
        elif name == b"k":
            # How often it was looked at is nowhere else.
            found[key] = {**await redis.hgetall(key), b"visits": b""}
        elif key == b"dc:" + generation:
            counts = await redis.hgetall(key)
            found[b"dc"] = {status: number for status, number in counts.items() if number != b"0"}
        elif name == b"l":
            row: dict[Any, Any] = await redis.hgetall(key)
            # The day from which a mark is kept counts from the filling, and what the streams
            # worker skipped was never in the ledger.
            ended = {job: state[:1] for job, state in row.items() if state[:1] in b"sf"}
            found[key] = {**ended, **({b"x": row[b"x"]} if b"x" in row else {})}
    return {key: value for key, value in found.items() if value}


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    keys = sorted({*before, *after})
    return [
        f"{key!r}: {before.get(key)!r} became {after.get(key)!r}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


async def full(cinema: Cinema, redis: Redis) -> None:
    """Wait until Redis is full again and the sender ready."""

    async def is_full() -> bool:
        with suppress(OSError):
            async with cinema.http.get(f"{cinema.sender}/health/ready") as page:
                return page.status == 200 and await redis.get("filled") is not None
        return False

    await eventually(is_full, 30)


class People:
    """Some who read, one who left, one who left and came back, and an address that is none."""

    readers: list[str]
    left: str
    returned: str
    nobody: str


def greeting(user: str) -> dict[str, str]:
    address = f"{user}@example.com"
    return {"event": "send_greeting", "user_id": user, "email": address, "username": "R"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(cinema: Cinema) -> AsyncIterator[People]:
    await cinema.to_daytime()
    people = People()
    people.readers = [await cinema.person() for _ in range(3)]
    people.left, people.returned = [await cinema.person() for _ in range(2)]
    people.nobody = f"{cinema.name()}@example.com"
    for user in [*people.readers, people.left, people.returned]:
        await cinema.send("registration", greeting(user), user)
        for number in range(3):
            await cinema.send("activity", {"user_id": user, "body": f"Entry {number}"}, user)
    gone = {"reason": "550 5.1.1 no such user", "at": cinema.now.isoformat()}
    await cinema.send("suppressions", gone, address_hash(people.nobody))
    await cinema.settle()
    for user in people.readers:
        frames = await cinema.frames(user, 3)
        async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
            await socket.send_json({"token": cinema.token(user), "last_id": 0})
            await socket.send_json({"type": "read", "ids": [frames[1]["id"]]})
            await asyncio.sleep(0.3)
    for user in (people.left, people.returned):
        await cinema.send("users", None, user)
    await cinema.advance(minutes=1)
    await cinema.person(user_id=people.returned)
    await cinema.send("registration", greeting(people.returned), people.returned)
    await cinema.send("activity", {"user_id": people.returned, "body": "Back"}, people.returned)
    await cinema.settle()
    yield people


async def test_what_a_flushed_redis_served_comes_back_exactly(
    cinema: Cinema, people: People, redis: Redis
) -> None:
    before = await snapshot(redis)
    assert {key.partition(b":")[0] for key in before} >= {
        *(b"i", b"iu", b"ij", b"is", b"dl", b"dc", b"k", b"ku", b"l", b"suppressed")
    }
    await redis.flushall()
    await full(cinema, redis)
    assert differences(before, await snapshot(redis)) == []
    assert b"i:" + digest(people.left) not in before
    assert len(before[b"i:" + digest(people.returned)]) == 1


async def test_jobs_that_come_while_redis_is_filled_are_delivered_and_counted_once(
    cinema: Cinema, people: People, redis: Redis
) -> None:
    user, to = people.readers[0], [f"{cinema.name()}@example.com" for _ in range(20)]
    last = (await cinema.frames(user, 3))[-1]["id"]
    await cinema.send("letters", {"subject": "Before", "text": "it", "to": to[:10]})
    await redis.flushall()
    await cinema.send("letters", {"subject": "After", "text": "it", "to": to[10:]})
    await cinema.send("activity", {"user_id": user, "body": "Meanwhile"}, user)
    await full(cinema, redis)
    await cinema.settle()
    for address in to:
        assert len(await cinema.mails(address)) == 1
    frames = await cinema.frames(user, 4)
    assert [frame["body"] for frame in frames[1:]] == [
        *(f"Entry {number}" for number in range(3)),
        "Meanwhile",
    ]
    assert frames[-1]["id"] > last
    assert await cinema.wrong_numbers() == []


async def test_a_sender_that_starts_beside_an_empty_redis_fills_it(
    cinema: Cinema, people: People, redis: Redis
) -> None:
    before = await snapshot(redis)
    pids = cinema.up.pids
    os.kill(pids["sender"][0], signal.SIGSTOP)
    try:
        await redis.flushall()
    finally:
        os.kill(pids["sender"][0], signal.SIGKILL)

    async def replaced() -> bool:
        return bool(cinema.up.pids["sender"] != pids["sender"])

    await eventually(replaced, 10)
    await full(cinema, redis)
    assert differences(before, await snapshot(redis)) == []


async def test_a_job_that_is_replayed_after_redis_was_emptied_makes_no_second_mail(
    cinema: Cinema, redis: Redis
) -> None:
    address = f"{cinema.name()}@example.com"
    await cinema.send("letters", {"subject": "Once", "text": "only", "to": address})
    await cinema.settle()
    await redis.flushall()
    await full(cinema, redis)
    (job,) = (
        {name: value for name, value in one.items() if name != "topic"}
        for jobs in cinema.log.jobs.values()
        for one in jobs
        if one["to"] == address
    )
    await cinema.send("outbox_urgent", job, job["user_id"])
    await cinema.settle()
    assert len(await cinema.mails(address)) == 1


async def test_rebuild_mends_what_is_wrong_and_nothing_else(
    cinema: Cinema, people: People, redis: Redis, commands: Commands
) -> None:
    before = await snapshot(redis)
    user = digest(people.readers[1])
    await redis.delete(b"i:" + user, b"iu:" + user, b"ij:" + user, b"is:" + user, b"dl:" + user)
    generation: Any = await redis.get("dg") or b"0"
    await redis.hset(f"dc:{generation.decode()}", "letter sent", "99999")
    await redis.hset("suppressed", "0" * 32, b'{"reason": "", "at": "2026-01-01T00:00:00Z"}')
    assert differences(before, await snapshot(redis))
    secrets = json.loads((cinema.up.data / "secrets.json").read_text())
    settings = {
        "LINK_SECRET": secrets["link_secret"],
        "CINEMA_URL": f"{cinema.sender}/viewer",
        "REDIRECT_HOSTS": REDIRECT_HOSTS,
    }
    ran = await commands("sender", "rebuild", **settings)
    assert ran.status == 0, ran.errors
    assert " entries" in ran.out and " suppressions" in ran.out
    await full(cinema, redis)
    assert differences(before, await snapshot(redis)) == []


async def test_rebuild_says_in_one_line_what_it_needs(commands: Commands) -> None:
    without = await commands("sender", "rebuild")
    assert without.status == 2 and without.errors.startswith("error: CINEMA_LINK_SECRET is not set")
    away = await commands("sender", "rebuild", LINK_SECRET="l" * 32, REDIS="redis://127.0.0.1:9/0")
    assert away.status == 75 and away.errors.count("\n") == 1
