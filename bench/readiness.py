"""From the start to ready, and what workers take that have nothing to do.

The whole stack from nothing (a first start also makes the topics), a worker of a stack that runs
after a kill -9, and the CPU time of both workers while only the clock ticks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Final

import aiohttp

from bench import servers
from bench.figures import Figure, figure
from bench.processes import cpu_seconds
from dev.errors import StackError
from dev.stack import Stack
from dev.workers import APPS, STREAMS

# After the start, garbage and caches settle.
SETTLE: Final = 3.0
IDLE: Final = 8.0
LIMIT: Final = 60.0
POLL: Final = 0.05


def run() -> Iterator[Figure]:
    """Measure on each broker there is."""
    for kind in asyncio.run(servers.brokers("readiness")):
        yield from asyncio.run(_measure(kind))


async def _measure(kind: str) -> list[Figure]:
    started = time.monotonic()
    async with servers.stack(kind) as stack:
        found = [figure(f"first start to ready, {kind}", "s", time.monotonic() - started)]
        await asyncio.sleep(SETTLE)
        found += await _idle(stack, kind)
        taken = await _restart(stack)
        found.append(figure(f"streams worker, kill -9 to ready on {kind}", "s", taken))
        return found


async def _idle(stack: Stack, kind: str) -> list[Figure]:
    running = {app: servers.pids(stack)[app][0] for app in APPS}
    before = {app: cpu_seconds(pid) for app, pid in running.items()}
    started = time.monotonic()
    await asyncio.sleep(IDLE)
    seconds = time.monotonic() - started
    return [
        figure(
            f"idle {app} worker on {kind}",
            "% of a core",
            100 * (cpu_seconds(pid) - before[app]) / seconds,
        )
        for app, pid in running.items()
    ]


async def _restart(stack: Stack) -> float:
    """Kill the streams worker and return how long it takes until its successor is ready."""
    (pid,) = servers.pids(stack)[STREAMS]
    (url,) = stack.addresses.streams
    started = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while servers.pids(stack)[STREAMS] == [pid] or not await _ready(url):
        if time.monotonic() - started > LIMIT:
            raise StackError(f"the streams worker is not ready {LIMIT} s after a kill")
        await asyncio.sleep(POLL)
    return time.monotonic() - started


async def _ready(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url}/health/ready") as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
