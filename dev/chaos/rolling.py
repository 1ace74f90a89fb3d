"""A rolling restart: each worker in turn is asked to end, while events flow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp

from dev.workers import APPS

if TYPE_CHECKING:
    from dev.chaos.run import Chaos

# Seconds in which a worker has to be down (the issue's), and what we wait before we give up.
DOWN: Final = 10.0
LIMIT: Final = 60.0
# Load before, between and after: every restart is met by mails on their way.
BETWEEN: Final = 2.5
PAUSE: Final = 0.2


async def roll(chaos: Chaos) -> None:
    """Ask each worker to end and wait until its successor is ready, one at a time."""
    await asyncio.sleep(BETWEEN)
    for app in APPS:
        for number in range(len(getattr(chaos.addresses, app))):
            await chaos.accidents.end((app, number), LIMIT)
            await until_ready(chaos, app)
            await asyncio.sleep(BETWEEN)


async def until_ready(chaos: Chaos, app: str) -> None:
    """Wait until all workers of an app are ready; raises TimeoutError after a minute."""
    async with asyncio.timeout(LIMIT):
        for url in getattr(chaos.addresses, app):
            while not await _ready(chaos.http, url):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(PAUSE)


async def _ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/health/ready") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
