"""Redis filled from the topics: all that it serves is there, too, but for what only it needs.

What is put back: revocations, erasures, suppressions, confirmation links, deliveries with their
counts, inboxes with their ids and what was read, and in the ledger that jobs came to an end.
Everything is put back beside what is there already, and putting it back twice changes nothing, so
live jobs may go on.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from redis.asyncio import Redis

from sender.erasures import Erasures
from sender.inbox import Inbox
from sender.ledger import Ledger
from sender.links import ConfirmLinks
from sender.suppressions import Suppressions
from streams import topics
from streams.delivery_log import ERASED, DeliveryLog
from streams.events import now_utc
from streams.jobs import (
    FINAL_STATUSES,
    Delivery,
    Erase,
    InboxEntry,
    InboxRead,
    Job,
    decode_delivery,
    decode_inbox,
    decode_outbox,
)
from streams.logs import Logs, Progress
from streams.records import timestamp
from streams.revocations import Revocations
from streams.revocations import said as revoked
from streams.settings import Settings

# Rows of one call: a few milliseconds in which Redis answers nobody else.
SLICE: Final = 500
# People whose inboxes are written at once, out of the pool's 64 connections.
AT_ONCE: Final = 32


class Refill:
    """Fills the stores from the topics."""

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        ledger: Ledger,
        wall: Callable[[], datetime] = now_utc,
    ) -> None:
        """Fill that Redis; `ledger` is anyone's view of it."""
        self._inbox = Inbox(redis)
        self._log = DeliveryLog(redis)
        self._suppressions = Suppressions(redis)
        self._revocations = Revocations(redis)
        self._links = ConfirmLinks(redis, settings)
        self._ledger = ledger
        self._wall = wall
        self._erasures = Erasures()
        #: What was put back so far.
        self.counts: Counter[str] = Counter()

    async def fill(self, logs: Logs, progress: Progress | None = None) -> Counter[str]:
        """Read the topics and put back all that is missing; return how much was read of what.

        Raises RedisUnavailable and BrokerUnavailable: call it again from the beginning.
        """
        self.counts.clear()
        await self._fill_revocations(logs, progress)
        # Who was erased is to be known before anything of theirs could come back.
        await self._read_erasures(logs, progress)
        await self._fill_links(logs, progress)
        await self._fill_deliveries(logs, progress)
        await self._fill_inboxes(logs, progress)
        # Last: an address must not come back that was lifted while others were read.
        await self._fill_suppressions(logs, progress)
        # Sockets that were let in while nobody could tell.
        await self._revocations.tell_all()
        return self.counts

    async def _read_erasures(self, logs: Logs, progress: Progress | None) -> None:
        self._erasures = Erasures()
        # The inbox remembers them for as long as there are entries, the outbox for 30 days.
        async for record, said in logs.said(topics.INBOX, decode_inbox, progress):
            self._erasures.hear(record, said)
        async for record, job in logs.said(topics.OUTBOX_URGENT, decode_outbox, progress):
            self._erasures.hear(record, job)
        for user_id, at in self._erasures:
            await self._ledger.erase(user_id, at)
        self.counts["erasures"] = len(self._erasures)

    async def _fill_links(self, logs: Logs, progress: Progress | None) -> None:
        oldest = self._wall() - self._links.kept
        part: list[Job] = []
        async for record, job in logs.said(topics.OUTBOX_URGENT, decode_outbox, progress):
            if isinstance(job, Erase) or timestamp(record) < oldest:
                continue
            if not self._erasures.cover(job.user_id, job.created_at) and self._links.has(job):
                part.append(job)
            if len(part) >= SLICE:
                await self._store(part)
                part = []
        await self._store(part)

    async def _store(self, jobs: Sequence[Job]) -> None:
        await self._links.store(jobs)
        self.counts["links"] += len(jobs)

    async def _fill_deliveries(self, logs: Logs, progress: Progress | None) -> None:
        oldest = self._wall() - topics.RETENTION
        listed: list[Delivery] = []
        ended: list[Delivery] = []
        async for record, one in logs.said(topics.DELIVERIES, decode_delivery, progress):
            if self._erasures.cover_delivery(record, one):
                # It counts, and enters no list.
                one = msgspec.structs.replace(one, reason=ERASED)
            elif one.channel and one.status in FINAL_STATUSES and timestamp(record) >= oldest:
                ended.append(one)
            listed.append(one)
            if len(listed) >= SLICE:
                await self._fold(listed, ended)
                listed, ended = [], []
        await self._fold(listed, ended)

    async def _fold(self, listed: Sequence[Delivery], ended: Sequence[Delivery]) -> None:
        await self._log.fold(listed)
        await self._ledger.restore(ended)
        self.counts["deliveries"] += len(listed)
        self.counts["jobs at their end"] += len(ended)

    async def _fill_inboxes(self, logs: Logs, progress: Progress | None) -> None:
        entries: defaultdict[str, list[InboxEntry]] = defaultdict(list)
        reads: defaultdict[str, set[int]] = defaultdict(set)
        number = 0
        async for record, said in logs.said(topics.INBOX, decode_inbox, progress):
            user_id = (record.key or b"").decode()
            if isinstance(said, InboxRead):
                reads[user_id].update(said.read)
            elif isinstance(said, InboxEntry) and not self._erasures.cover(
                user_id, said.created_at
            ):
                entries[user_id].append(said)
            number += 1
            if number % (SLICE * 10) == 0:
                await self._restore(entries, reads, entries)
        await self._restore(entries, reads, {*entries, *reads})

    async def _restore(
        self,
        entries: dict[str, list[InboxEntry]],
        reads: dict[str, set[int]],
        users: Iterable[str],
    ) -> None:
        """Put back the entries of these users, then what was read of them.

        What was read and is not there stays in `reads`: a tab may be quicker than the worker that
        writes the entry to the topic, and then the entry is still to come.
        """
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(user_id: str) -> None:
            async with limit:
                if user_id in entries:
                    await self._inbox.restore(user_id, entries[user_id])
                if user_id in reads:
                    done = await self._inbox.read(user_id, reads[user_id], filling=True)
                    reads[user_id].difference_update(done.ids)
                    self.counts["reads"] += len(done.ids)

        await asyncio.gather(*(one(user_id) for user_id in list(users)))
        self.counts["entries"] += sum(map(len, entries.values()))
        entries.clear()

    async def _fill_suppressions(self, logs: Logs, progress: Progress | None) -> None:
        partitions = await logs.partitions(topics.SUPPRESSIONS.name)
        async for records in logs.read(partitions, progress=progress):
            rows = [((one.key or b"").decode(errors="replace"), one.value) for one in records]
            await self._suppressions.fold(rows)
            self.counts["suppressions"] += len(rows)

    async def _fill_revocations(self, logs: Logs, progress: Progress | None) -> None:
        partitions = await logs.partitions(topics.REVOCATIONS.name)
        async for records in logs.read(partitions, progress=progress):
            rows = list(revoked(records))
            await self._revocations.fold(rows, tell=False)
            self.counts["revocations"] += len(rows)
