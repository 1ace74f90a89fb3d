"""What people have read: at once in Redis, then on the topic that Redis is rebuilt from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from sender.inbox import Inbox
from streams.errors import BrokerUnavailable
from streams.jobs import InboxRead, encode
from streams.records import Output
from streams.tasks import end
from streams.topics import INBOX
from streams.web.site import Produce

logger = logging.getLogger(__name__)

# How long reads are gathered into one record a person.
GATHER_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 1.0
# A stopping worker has 15 s for everything.
STOP_SECONDS: Final = 3.0


class Reads:
    """Marks entries read. What the broker has not acknowledged is tried again until the end."""

    def __init__(self, inbox: Inbox, produce: Produce) -> None:
        """Write through those two."""
        self._inbox = inbox
        self._produce = produce
        self._waiting: dict[str, set[int]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._marking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Write in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what waits, within 3 s."""
        await end(self._task)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*self._marking, return_exceptions=True)
                await self._write()
        except (BrokerUnavailable, TimeoutError):
            logger.warning("reads of %d people are in Redis alone", len(self._waiting))

    async def mark(self, user_id: str, ids: Iterable[int]) -> None:
        """Mark entries read and tell every tab; raises RedisUnavailable while Redis is away."""
        # A socket that closes meanwhile is no reason to leave it in Redis alone.
        task = asyncio.get_running_loop().create_task(self._mark(user_id, ids))
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)
        await asyncio.shield(task)

    async def _mark(self, user_id: str, ids: Iterable[int]) -> None:
        done = await self._inbox.read(user_id, ids)
        if done.ids:
            self._waiting.setdefault(user_id, set()).update(done.ids)
            self._wake.set()

    async def _run(self) -> None:
        away = False
        while True:
            await self._wake.wait()
            await asyncio.sleep(RETRY_SECONDS if away else GATHER_SECONDS)
            self._wake.clear()
            try:
                await self._write()
                away = False
            except BrokerUnavailable as error:
                if not away:
                    logger.warning("reads of %d people wait: %s", len(self._waiting), error)
                away = True
                self._wake.set()

    async def _write(self) -> None:
        taken = {user: set(ids) for user, ids in self._waiting.items()}
        if not taken:
            return
        await self._produce(
            [Output(INBOX, user, encode(InboxRead(sorted(ids)))) for user, ids in taken.items()]
        )
        for user, ids in taken.items():
            self._waiting[user] -= ids
            if not self._waiting[user]:
                del self._waiting[user]
