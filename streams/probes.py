"""Whether the services that a worker stands on answer now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis

from streams.declaring import bootstrap
from streams.settings import Settings

# Shorter than a supervisor waits for an answer of /health/ready.
WITHIN: Final = 1.0


async def silent(settings: Settings, redis: Redis) -> list[str]:
    """Return which of broker and Redis do not answer, in words."""
    found = []
    if not await _reachable(bootstrap(settings)):
        found.append(f"broker: {settings.broker} does not answer")
    if not await answers(redis.ping):
        found.append("redis: does not answer")
    return found


async def answers(probe: Callable[[], Awaitable[Any]]) -> bool:
    """Tell whether a probe ends in time and without an error."""
    try:
        async with asyncio.timeout(WITHIN):
            await probe()
    except Exception:
        return False
    return True


async def _reachable(addresses: Sequence[str]) -> bool:
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(WITHIN):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError, ValueError):
            continue
        writer.close()
        return True
    return False
