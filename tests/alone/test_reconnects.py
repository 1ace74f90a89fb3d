"""People who come back again and again while senders, Redis and its connections are killed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio

from dev.logs import read_topic
from sender.inbox import KEEP, SPARE
from streams.jobs import InboxEntry, Job, decode_inbox, encode
from streams.partitions import partition_of
from streams.serving import connect
from tests.alone.sending import PARTITIONS, Sending, senders
from tests.conftest import eventually
from tests.sender.conftest import job_of
from tests.sender.web.raw import Raw
from tests.worker import SECRETS, Worker

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    # A kill is noticed after six seconds, and everything must still come.
    pytest.mark.timeout(240),
]

USERS = 20
TABS = 2
# For each user: 2,000 messages in all.
EACH = 100
RECONNECTS = 200
# Seconds in which they are sent: kills and cuts fall between them.
LASTS = 20.0
CUTS = 1.0
# Entries, and the characters of each, that one client does not read: more than the kernel buffers.
MANY = 500
LARGE = 20_000


@pytest_asyncio.fixture(loop_scope="session")
async def sending(broker_kind: str, tmp_path: Path) -> AsyncIterator[Sending]:
    async with senders(broker_kind, tmp_path) as sending:
        yield sending


class Tab:
    """A page that comes back with its last id, to whichever worker, and notes what it got."""

    def __init__(self, user: str, urls: Sequence[str], dice: random.Random) -> None:
        self.user = user
        self.got: list[int] = []
        self.connects = 0
        self.gaps = 0
        self._urls = urls
        self._dice = dice

    async def watch(self, http: aiohttp.ClientSession) -> None:
        """Look until cancelled."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with http.ws_connect(f"{self._dice.choice(self._urls)}/ws") as socket:
                    self.connects += 1
                    await self._listen(socket)
                    if self._dice.random() < 0.5:
                        # Torn off: no goodbye.
                        socket._response.close()
            await asyncio.sleep(self._dice.uniform(0.0, 0.2))

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        first: dict[str, Any] = {"token": token(self.user)}
        if self.got:
            first["last_id"] = self.got[-1]
        await socket.send_json(first)
        patience = self._dice.randrange(1, 25)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            frame = message.json()
            self.gaps += frame["type"] == "gap"
            if frame["type"] == "notification":
                self.got.append(frame["id"])
                patience -= 1
                # Not before it has all: who waits for the last one would wait for ever.
                if not patience and len(self.got) < EACH:
                    return


def token(user: str, seconds: int = 600) -> str:
    claims = {"sub": user, "exp": int(time.time()) + seconds}
    return jwt.encode(claims, SECRETS["CINEMA_JWT_SECRET"], "HS256")


async def say(sending: Sending, user: str, name: str, body: str) -> Job:
    """Send a job for someone's inbox."""
    values = {"channel": "websocket", "kind": "activity", "template": "activity"}
    job = job_of(name, user_id=user, context={"body": body}, **values)
    partition = partition_of(user, PARTITIONS)
    await sending.producer.send("outbox_urgent", encode(job), user.encode(), partition)
    return job


async def send(sending: Sending, dice: random.Random) -> set[str]:
    """Send all jobs over the time there is; return their ids."""
    order = [number % USERS for number in range(USERS * EACH)]
    dice.shuffle(order)
    ids: set[str] = set()
    for number, one in enumerate(order):
        job = await say(sending, f"user{one}", f"message {number}", f"message {number}")
        ids.add(job.job_id)
        if number % 10 == 0:
            await asyncio.sleep(LASTS / len(order) * 10 * dice.uniform(0.5, 1.5))
    await sending.producer.flush()
    return ids


async def cut(sending: Sending, dice: random.Random, cuts: list[int]) -> None:
    """Kill the pub/sub connections again and again until cancelled."""
    redis = connect(f"redis://{sending.redis.address}/0")
    try:
        while True:
            await asyncio.sleep(CUTS * dice.uniform(0.5, 1.5))
            with suppress(Exception):
                cuts.append(int(await redis.client_kill_filter(_type="pubsub")))
    finally:
        await redis.aclose()


async def strike(sending: Sending, workers: Sequence[Worker], dice: random.Random) -> None:
    """Kill a worker, Redis, and the other worker; start each again."""
    first, second = dice.sample(workers, 2)
    await asyncio.sleep(LASTS * dice.uniform(0.1, 0.2))
    await first.kill()
    await first.start()
    await asyncio.sleep(LASTS * dice.uniform(0.3, 0.4))
    redis = sending.redis.child
    redis.signal(signal.SIGKILL)
    await redis.wait()
    await redis.start()
    await first.until_ready()
    await second.kill()
    await second.start()


async def test_over_any_reconnects_kills_and_cuts_nothing_is_missed_and_nothing_repeated(
    sending: Sending,
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    # What a killed sender had claimed rests until the claim is over, and comes back through it.
    await sending.worker("streams.app")
    workers = [await sending.worker(), await sending.worker()]
    urls = [worker.url for worker in workers]
    tabs = [
        Tab(f"user{number % USERS}", urls, random.Random(dice.random()))
        for number in range(USERS * TABS)
    ]
    cuts: list[int] = []
    began = time.monotonic()
    async with aiohttp.ClientSession() as http:
        watching = [asyncio.create_task(tab.watch(http)) for tab in tabs]
        cutting = asyncio.create_task(cut(sending, dice, cuts))
        striking = asyncio.create_task(strike(sending, workers, dice))
        try:
            sent = await send(sending, dice)
            await striking

            async def all_came() -> bool:
                return all(len(tab.got) >= EACH for tab in tabs)

            async def all_written() -> bool:
                return len(jobs_of(await told(sending))) >= len(sent)

            with suppress(AssertionError):
                await eventually(all_came, 60, 0.1)
                # What its sender had shown and not yet written when it was killed rests until the
                # claim is over. Its tabs must not see it again.
                await eventually(all_written, 60, 0.5)
            # What comes twice may come late.
            await asyncio.sleep(1)
        finally:
            for task in (*watching, cutting, striking):
                task.cancel()
            await asyncio.gather(*watching, cutting, striking, return_exceptions=True)
    entries = await told(sending)
    assert jobs_of(entries) == sent
    owner = {user: set(ids) for user, ids in entries.items()}
    missed = sum(len(owner[tab.user] - set(tab.got)) for tab in tabs)
    repeated = sum(len(tab.got) - len(set(tab.got)) for tab in tabs)
    disordered = sum(tab.got != sorted(tab.got) for tab in tabs)
    reconnects = sum(tab.connects - 1 for tab in tabs)
    rested = len({job["job_id"] for job in await sending.records("held")})
    print(
        f"\nseed {seed}: {len(sent)} messages to {len(tabs)} tabs on 2 workers, {reconnects} "
        f"reconnects, 2 workers and Redis killed, pub/sub cut {sum(cuts)} times in {len(cuts)} "
        f"strokes, {time.monotonic() - began:.0f} s: {missed} missed, {repeated} repeated, "
        f"{disordered} tabs out of order, {sum(tab.gaps for tab in tabs)} gaps, {rested} rested"
    )
    assert (missed, repeated, disordered) == (0, 0, 0)
    assert sum(map(len, owner.values())) == len(sent)
    assert not any(tab.gaps for tab in tabs)
    # It was a bad day: else all this says nothing.
    assert reconnects >= RECONNECTS and sum(cuts) > 5


async def test_a_cursor_older_than_what_is_kept_gets_a_gap_and_the_unread_count(
    sending: Sending,
) -> None:
    worker = await sending.worker()
    number = KEEP + SPARE + 20
    for one in range(number):
        await say(sending, "anna", f"anna {one}", str(one))
    await sending.producer.flush()

    async def all_came() -> bool:
        return len((await told(sending)).get("anna", {})) == number

    await eventually(all_came, 60, 0.5)
    ids = sorted((await told(sending))["anna"])
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{worker.url}/ws") as socket:
        await socket.send_json({"token": token("anna"), "last_id": ids[2]})
        frames = [await socket.receive_json(timeout=5) for _ in range(number - SPARE + 3)]
    hello, gap, *given, unread = frames
    assert (hello["type"], hello["unread"]) == ("hello", number - SPARE)
    assert gap == {"type": "gap", "from": ids[2], "to": ids[SPARE - 1]}
    assert [frame["id"] for frame in given] == ids[SPARE:]
    assert unread == {"type": "unread", "count": number - SPARE, "read": []}


async def test_a_client_that_never_reads_is_cut_off_when_its_token_ends(
    sending: Sending,
) -> None:
    worker = await sending.worker()
    raw = Raw(worker.port)
    try:
        await raw.open(token=token("anna", 15))
        assert (await raw.frame())["type"] == "hello"
        for one in range(MANY):
            await say(sending, "anna", f"anna {one}", "x" * LARGE)
        await sending.producer.flush()

        async def all_came() -> bool:
            return len((await told(sending)).get("anna", ())) == MANY

        await eventually(all_came, 60, 0.5)
        await eventually(raw.cut_off, 30, 0.2)
        assert (await worker.gauges()).total("cinema_websockets") == 0
    finally:
        raw.close()


async def told(sending: Sending) -> dict[str, dict[int, str]]:
    """Return what the topic `inbox` has of each user: the entries' ids and their jobs."""
    entries: defaultdict[str, dict[int, str]] = defaultdict(dict)
    address = sending.broker.partition("://")[2]
    for record in await read_topic(address, "inbox"):
        entry = decode_inbox(record.value or b"")
        if isinstance(entry, InboxEntry):
            entries[(record.key or b"").decode()][entry.id] = entry.job_id
    return entries


def jobs_of(entries: dict[str, dict[int, str]]) -> set[str]:
    """Return the jobs that became these entries."""
    return {job for ids in entries.values() for job in ids.values()}
