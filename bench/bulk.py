"""A bulk run of 100,000 mails: greetings in between, memory, and a mail server that goes away.

Registrations are produced while the run goes on; from the producer's call to the end of the mail's
data at the mail server. Then the server goes, comes back, and finds a backlog.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Final

import psutil
from aiokafka import AIOKafkaProducer

from bench import servers
from bench.counting import CountingServer
from bench.figures import Figure, figure, percentile, say
from bench.latency import registration
from bench.letters import tip
from bench.mails import put
from dev.errors import StackError
from dev.stack import Stack

COUNT: Final = 100_000
EARLY: Final = 10_000
WARM: Final = 2_000
# Registrations: some tens of them in each ten seconds, anywhere between two ticks of the clock.
PAUSE: Final = 0.4
# Of those that open connections and meet templates for the first time nothing is said.
FIRST: Final = 5
# It lasts until the speed has been seen again, fast as the machine may be.
BACKLOG: Final = 60_000
AWAY: Final = 8.0
# Seconds over which a speed is taken, and those that the sender has to come back to it.
SPAN: Final = 5.0
# Of a mail a second, on a slow machine.
PATIENCE: Final = 1500.0
MEGA: Final = 1 << 20


def run() -> Iterator[Figure]:
    """Measure, and yield what greetings took, memory, and speeds around the outage."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    kind = (await servers.brokers("bulk"))[0]
    server = CountingServer()
    await server.start()
    try:
        async with servers.stack(kind, smtp=server.url) as stack:
            figures = await _bulk(stack, server, kind)
            return figures + await _outage(stack, server, kind)
    finally:
        server.stop()


async def _bulk(stack: Stack, server: CountingServer, kind: str) -> list[Figure]:
    (pid,) = servers.pids(stack)["sender"]
    process = psutil.Process(pid)
    await _send(stack, "warm", WARM)
    await _until(server, WARM)
    start, started = server.count, time.perf_counter()
    sending = asyncio.create_task(_send(stack, "bulk", COUNT))
    greeting = asyncio.create_task(_greet(stack, server))
    sizes = []
    try:
        for mails in (EARLY, COUNT):
            await _until(server, start + mails)
            sizes.append(process.memory_info().rss / MEGA)
        rate = COUNT / (time.perf_counter() - started)
        await sending
    finally:
        sending.cancel()
        greeting.cancel()
    (taken,) = await asyncio.gather(greeting)
    label = f"registration to mailbox beside {COUNT} bulk mails on {kind}"
    early = f"sender's memory after {EARLY} mails"
    return [
        figure(f"bulk mails beside registrations on {kind}", "1/s", rate),
        figure(f"{label}, p50 of {len(taken)}", "ms", 1000 * median(taken)),
        figure(f"{label}, p99 of {len(taken)}", "ms", 1000 * percentile(taken, 99)),
        figure(early, "MB", sizes[0]),
        Figure(
            f"sender's memory after {COUNT} mails", round(sizes[1]), "MB",
            round(sizes[1] / sizes[0], 3), early,
        ),
    ]  # fmt: skip


async def _greet(stack: Stack, server: CountingServer) -> list[float]:
    """Register people until cancelled; return the seconds until their mails had come."""
    pauses = random.Random(COUNT)
    producer = AIOKafkaProducer(bootstrap_servers=stack.addresses.broker, acks="all")
    await producer.start()
    taken: list[float] = []
    try:
        while True:
            await asyncio.sleep(pauses.uniform(0, PAUSE))
            taken.append(
                await registration(producer, server.waiting, len(taken), stack.settings.partitions)
            )
    except asyncio.CancelledError:
        return taken[FIRST:]
    finally:
        await producer.stop()


async def _outage(stack: Stack, server: CountingServer, kind: str) -> list[Figure]:
    """Take the server away from a backlog and give it back; return the speeds."""
    begun = server.count
    sending = asyncio.create_task(_send(stack, "outage", BACKLOG))
    await _until(server, begun + WARM)
    before = await _rate(server, SPAN)
    server.stop()
    await asyncio.sleep(AWAY)
    at, back = server.count, time.perf_counter()
    await server.start()
    await _until(server, at + 1)
    found = time.perf_counter() - back
    counts = [server.count]
    for _ in range(round(2 * SPAN)):
        await asyncio.sleep(1)
        counts.append(server.count)
    rates = [after - earlier for earlier, after in pairwise(counts)]
    say(f"mails in each second after the first: {rates}, before the outage {before:.0f}")
    late = sum(rates[round(SPAN) :]) / SPAN
    await sending
    label = f"bulk mails before the mail server went away on {kind}"
    return [
        figure(label, "1/s", before),
        figure("first mail after it came back", "s", found),
        Figure("mails from 5 s after that", round(late), "1/s", round(late / before, 3), label),
    ]


async def _rate(server: CountingServer, seconds: float) -> float:
    begun, started = server.count, time.perf_counter()
    await asyncio.sleep(seconds)
    return (server.count - begun) / (time.perf_counter() - started)


async def _until(server: CountingServer, count: int) -> None:
    started = time.perf_counter()
    while server.count < count:
        if time.perf_counter() - started > PATIENCE:
            raise StackError(f"{server.count} of {count} mails came in {PATIENCE} s")
        await asyncio.sleep(0.02)


async def _send(stack: Stack, name: str, count: int) -> None:
    made = (tip(number, f"{name}-{number}") for number in range(count))
    await put(stack.addresses.broker, made, stack.settings.partitions)
