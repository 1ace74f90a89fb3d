"""Sees to it that Redis is full before anything is delivered, and after it was emptied.

The key `filled` says that it is, by the name of the filling. Where it is missing, one worker fills
(it holds `filling`, with a lease) and all others wait. Each looks once a second, so a Redis that
lost its data while senders run is filled a second later; until then jobs go on as they do beside a
filling: what is in hand is marked in the empty ledger, entries get ids above all earlier ones.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from aiokafka.errors import KafkaError
from mode import Service
from redis.asyncio import Redis

from sender.refill import Refill
from streams.errors import RedisUnavailable, Retryable
from streams.logs import Logs, Progress
from streams.serving import FILLED, Script, answering
from streams.tasks import end

logger = logging.getLogger(__name__)

FILLING: Final = "filling"
# How soon an emptied Redis is noticed; one GET.
LOOK: Final = 1.0
# After which a filling whose worker was killed is begun again by another.
LEASE: Final = 10.0
RENEWALS: Final = 4
LOGGED: Final = 10.0


class Lost(Retryable):
    """Redis was emptied again under a filling, or another worker fills it now."""


class Filling:
    """The right to fill Redis, which one process has at a time."""

    def __init__(self, redis: Redis, refill: Refill, logs: Callable[[], Logs]) -> None:
        """Fill with `refill` from those logs."""
        self._redis = redis
        self._refill = refill
        self._logs = logs
        self._hold = Script(redis, "sender", "refill_hold")

    async def name(self) -> str | None:
        """Return the name of the filling that Redis is full with, None if it is not."""
        with answering():
            found: Any = await self._redis.get(FILLED)
        return None if found is None else found.decode()

    async def begin(self, owner: str) -> bool:
        """Take the right to fill; False where another has it."""
        with answering():
            return bool(await self._redis.set(FILLING, owner, nx=True, px=int(LEASE * 1000)))

    async def fill(self, owner: str, progress: Progress | None = None) -> dict[str, int]:
        """Fill and say so; return how much was put back. The right to it is the owner's."""
        async with self._held(owner), self._logs() as logs:
            counts = await self._refill.fill(logs, progress)
        if not await self._hold(owner, int(LEASE * 1000), secrets.token_hex(4)):
            raise Lost("Redis was emptied again while it was filled")
        return dict(counts)

    async def clear(self) -> None:
        """Say that Redis is not full: workers wait from their next look on."""
        with answering():
            await self._redis.delete(FILLED)

    @asynccontextmanager
    async def _held(self, owner: str) -> AsyncIterator[None]:
        """Keep the right alive; ends what happens inside, with Lost, where it is gone."""
        inside = asyncio.current_task()
        assert inside is not None
        lost = False

        async def renew() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(LEASE / RENEWALS)
                try:
                    held = await self._hold(owner, int(LEASE * 1000), "")
                except RedisUnavailable:
                    continue
                if not held:
                    lost = True
                    inside.cancel()
                    return

        renewing = asyncio.create_task(renew(), name="refill lease")
        try:
            yield
        except asyncio.CancelledError:
            if lost and not inside.uncancel():
                raise Lost("Redis was emptied again, or is filled by another worker") from None
            raise
        finally:
            await end(renewing)


class Refilling(Service):
    """Looks once a second whether Redis is full, and fills it where nobody does.

    `waits_for` says in words what is missing, None while Redis is full.
    """

    def __init__(self, filling: Filling, owner: str, **options: Any) -> None:
        super().__init__(**options)
        self._filling = filling
        self._owner = owner
        self._full = asyncio.Event()
        self.waits_for: str | None = "not looked at yet"

    async def full(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Wait until Redis is full; False where the wait was interrupted."""
        while not self._full.is_set():
            if interrupted():
                return False
            try:
                await asyncio.wait_for(self._full.wait(), LOOK)
            except TimeoutError:
                continue
        return True

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await self._step()
            await self.sleep(LOOK)

    async def _step(self) -> None:
        try:
            if await self._filling.name() is not None:
                self._say(None)
            elif await self._filling.begin(self._owner):
                await self._fill()
            else:
                self._say("is being filled by another worker")
        except (Retryable, KafkaError, OSError) as error:
            # What comes back may be empty.
            self._say(str(error))

    async def _fill(self) -> None:
        self._say("is being filled from the topics")
        began = last = monotonic()

        def progress(topic: str, done: int, total: int) -> None:
            nonlocal last
            share = 100 * done // total if total else 100
            self.waits_for = f"is being filled from {topic}, {share} % of it read"
            if monotonic() - last > LOGGED:
                last = monotonic()
                logger.warning("redis %s", self.waits_for)

        counts = await self._filling.fill(self._owner, progress)
        put = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        logger.warning("redis is full after %.1f s: %s", monotonic() - began, put or "nothing")
        self._say(None)

    def _say(self, what: str | None) -> None:
        if what is not None and self._full.is_set():
            logger.warning("redis %s: no job goes out until it is full", what)
        self.waits_for = what
        if what is None:
            self._full.set()
        else:
            self._full.clear()
