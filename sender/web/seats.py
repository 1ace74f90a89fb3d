"""How many sockets a person has open, over all workers: the oldest makes room for a new one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from typing import Final

from redis.asyncio import Redis

from streams.errors import RedisUnavailable
from streams.serving import Script, answering, digest
from streams.tasks import end

# Tabs and phones of one person (CONTRACT, "WebSocket").
SEATS: Final = 5
# A worker says so often that it lives, and its seats are free so long after it stopped saying so.
ALIVE_SECONDS: Final = 5.0
DEAD_SECONDS: Final = 15
# Rows of people who left without a word (their worker was killed) go by themselves.
ROW_SECONDS: Final = 86_400


class Seats:
    """Gives seats in Redis; a taken one arrives on the user's channel (see hub.py)."""

    def __init__(self, redis: Redis) -> None:
        """Use that client of the serving store."""
        self._redis = redis
        self._take = Script(redis, "sender", "seat_take")
        self._worker = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Say in the background that this worker lives."""
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        """Stop saying so: all seats that are left are free at once."""
        await end(self._task)
        with contextlib.suppress(RedisUnavailable), answering():
            await self._redis.delete(f"wl:{self._worker}")

    def name(self) -> bytes:
        """Return a name for a new socket of this worker."""
        return f"{self._worker}/{next(self._numbers)}".encode()

    async def take(self, user_id: str, seat: bytes, since: float) -> None:
        """Seat a socket that said who it is at that Unix time; the oldest is who said so first.

        Not who comes first here: calls of sockets that open together overtake each other. Raises
        RedisUnavailable while Redis is away.
        """
        await self._take(
            digest(user_id), self._worker, seat, SEATS, ROW_SECONDS, DEAD_SECONDS, since
        )

    async def leave(self, user_id: str, seat: bytes) -> None:
        """Free the seat; with Redis away it stays taken until the row or the worker is gone."""
        with contextlib.suppress(RedisUnavailable), answering():
            await self._redis.zrem(b"ws:" + digest(user_id), seat)

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(RedisUnavailable), answering():
                await self._redis.set(f"wl:{self._worker}", "1", ex=DEAD_SECONDS)
            await asyncio.sleep(ALIVE_SECONDS)
