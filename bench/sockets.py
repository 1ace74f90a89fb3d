"""Open sockets: what 5,000 take in one sender worker, and how soon 1,000 notices a second come.

From a job's production on the urgent outbox, while a streams worker counts watches; and, for the
part of the sockets alone, from the write into the inbox in Redis. The clients are a process of
their own, and what they take to read a frame is in it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from bench import servers
from bench.figures import Figure, figure, percentile
from bench.processes import cpu_seconds
from bench.sockets_clients import Options
from dev.children import die_with_parent
from dev.errors import StackError
from dev.stack import Stack
from dev.workers import APPS, SENDER
from sender.inbox import Draft, Inbox
from sender.web.sockets import HEARTBEAT_SECONDS
from streams import topics
from streams.events import now_utc
from streams.jobs import Cause, Job, encode, job_id
from streams.kinds import WEBSOCKET
from streams.partitions import partition_of
from streams.serving import connect

PEOPLE: Final = 5_000
RATE: Final = 1_000
# What the streams worker has to do meanwhile, in watches a second.
WATCHES: Final = 500
SECONDS: Final = 10.0
# Templates are met for the first time, connections to Redis opened.
WARM: Final = 2.0
# After the connects, garbage and caches settle.
SETTLE: Final = 5.0
# As long as the time between two pings: each socket gets one.
IDLE: Final = HEARTBEAT_SECONDS
TICK: Final = 0.005
LIMIT: Final = 150.0


def run() -> Iterator[Figure]:
    """Measure on the best broker there is."""
    kind, *_ = asyncio.run(servers.brokers("sockets"))
    yield from asyncio.run(_measure(kind))


async def _measure(kind: str) -> list[Figure]:
    async with servers.stack(kind) as stack:
        (pid,) = servers.pids(stack)[SENDER]
        await asyncio.sleep(SETTLE)
        before = psutil.Process(pid).memory_info().rss
        async with _people(stack) as ask:
            connected = await ask()
            await asyncio.sleep(SETTLE)
            grown = psutil.Process(pid).memory_info().rss - before
            used = await _busy(_rest(), pid)
            found = [
                figure("sockets connected to one worker", "1", connected["connected"]),
                figure("connects", "1/s", connected["connected"] / connected["seconds"]),
                figure("memory of a socket", "kB", grown / PEOPLE / 1000),
                figure("idle sender worker with them", "% of a core", used),
            ]
            producer = AIOKafkaProducer(bootstrap_servers=stack.addresses.broker)
            await producer.start()
            try:
                found += await _writes(stack, producer, ask)
                found += await _jobs(stack, kind, producer, ask)
            finally:
                await producer.stop()
        return found


async def _jobs(
    stack: Stack, kind: str, producer: AIOKafkaProducer, ask: Callable[[], Awaitable[Any]]
) -> list[Figure]:
    home = stack.settings.partitions

    async def job(number: int) -> None:
        user = f"user-{number % PEOPLE}"
        value = encode(_job(user, number))
        await producer.send(
            topics.OUTBOX_URGENT.name, value, user.encode(), partition_of(user, home)
        )

    return await _measured(f"job on {kind} to socket", job, stack, producer, ask)


async def _writes(
    stack: Stack, producer: AIOKafkaProducer, ask: Callable[[], Awaitable[Any]]
) -> list[Figure]:
    redis: Redis = connect(stack.addresses.redis)
    inbox = Inbox(redis)

    async def write(number: int) -> None:
        draft = Draft(
            job_id=f"write {number} {time.time_ns()}",
            kind="activity",
            title="",
            body=str(time.time_ns()),
            url="",
            created_at=now_utc(),
        )
        await inbox.add([(f"user-{number % PEOPLE}", draft)])

    try:
        return await _measured("write into the inbox to socket", write, stack, producer, ask)
    finally:
        await redis.aclose()


async def _measured(
    what: str,
    send: Callable[[int], Awaitable[None]],
    stack: Stack,
    producer: AIOKafkaProducer,
    ask: Callable[[], Awaitable[Any]],
) -> list[Figure]:
    """Send notices, and watches beside them; return how soon the notices came, and the CPU."""
    streams, sender = (servers.pids(stack)[app][0] for app in APPS)

    async def watch(number: int) -> None:
        user = f"user-{number % PEOPLE}"
        event = {"user_id": user, "film_id": "film", "seconds": 60, "at": now_utc()}
        home = partition_of(user, stack.settings.partitions)
        value = msgspec.json.encode(event)
        await producer.send(topics.WATCH_HISTORY.name, value, user.encode(), home)

    await _warmed(send, ask)
    before = cpu_seconds(streams)
    both = asyncio.gather(_pace(RATE, SECONDS, send), _pace(WATCHES, SECONDS, watch))
    used = await _busy(both, sender)
    worked = 100 * (cpu_seconds(streams) - before) / SECONDS
    taken = await _taken(ask)
    name = f"{what}, {RATE} a second"
    return [
        *_percentiles(f"{name}, {WATCHES} watches a second beside", taken),
        figure(f"{name}, sender worker", "% of a core", used),
        figure(f"{name}, streams worker beside", "% of a core", worked),
    ]


@asynccontextmanager
async def _people(stack: Stack) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
    """Connect everybody; give what asks them what has come, the connecting itself first."""
    port = urlsplit(stack.addresses.sender[0]).port
    assert port is not None
    options = Options(port=port, secret=stack.addresses.jwt_secret, people=PEOPLE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.sockets_clients", msgspec.json.encode(options).decode()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
        preexec_fn=die_with_parent(),
    )
    assert process.stdin is not None and process.stdout is not None
    asked = 0

    async def ask() -> dict[str, Any]:
        nonlocal asked
        assert process.stdin is not None and process.stdout is not None
        if asked:
            process.stdin.write(b"\n")
        asked += 1
        line = await asyncio.wait_for(process.stdout.readline(), LIMIT)
        if not line:
            raise StackError("the clients have ended")
        found: dict[str, Any] = msgspec.json.decode(line)
        return found

    try:
        yield ask
    finally:
        process.kill()
        await process.wait()


async def _warmed(
    send: Callable[[int], Awaitable[None]], ask: Callable[[], Awaitable[Any]]
) -> None:
    await _pace(RATE / 2, WARM, send)
    await asyncio.sleep(SETTLE)
    await ask()


async def _taken(ask: Callable[[], Awaitable[Any]]) -> list[float]:
    """Return what each notice took, once all have come."""
    taken: list[float] = []
    deadline = time.monotonic() + LIMIT
    wanted = int(RATE * SECONDS)
    while len(taken) < wanted:
        if time.monotonic() > deadline:
            raise StackError(f"{len(taken)} of {wanted} notices came")
        await asyncio.sleep(1)
        found = await ask()
        taken += found["taken"]
        if found["lost"]:
            raise StackError(f"{found['lost']} sockets were lost")
    return taken


async def _pace(rate: float, seconds: float, send: Callable[[int], Awaitable[None]]) -> None:
    """Send so many a second, evenly."""
    began, number = time.monotonic(), 0
    total = int(rate * seconds)
    while number < total:
        due = min(int((time.monotonic() - began) * rate), total)
        while number < due:
            await send(number)
            number += 1
        await asyncio.sleep(TICK)


async def _busy(work: Awaitable[Any], pid: int) -> float:
    """Do it; return what a process used of a core meanwhile, in percent."""
    before, began = cpu_seconds(pid), time.monotonic()
    await work
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - began)


async def _rest() -> None:
    await asyncio.sleep(IDLE)


def _percentiles(name: str, taken: list[float]) -> Iterator[Figure]:
    for label, percent in (("p50", 50), ("p99", 99)):
        yield figure(f"{name}, {label} of {len(taken)}", "ms", 1000 * percentile(taken, percent))


def _job(user: str, number: int) -> Job:
    stamp = time.time_ns()
    return Job(
        job_id=job_id(f"{number} {stamp}", "activity", user, WEBSOCKET),
        user_id=user,
        channel=WEBSOCKET,
        kind="activity",
        template="activity",
        locale="en",
        timezone="UTC",
        to=user,
        context={"body": str(stamp)},
        created_at=now_utc(),
        expires_at=None,
        attempt=0,
        cause=Cause("activity", 0, number),
    )
