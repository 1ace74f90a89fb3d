"""A lane: jobs in, one outcome for each, and the records that follow from it.

The order that loses nothing: claim, deliver, note what became of it, hand the records to the
boundary, and only when Kafka has acknowledged them make it final in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, Protocol

import msgspec

from sender.channels import Channel, Halted, Outcome, Outcomes
from sender.ledger import Ledger
from sender.outcomes import follow, forgotten, waiting
from sender.waits import Waits
from streams.delivery_log import ERASED
from streams.errors import RedisUnavailable
from streams.faults import points
from streams.jobs import Erase, Job
from streams.records import Results
from streams.settings import Settings
from streams.tasks import end

logger = logging.getLogger(__name__)

# How often a batch that waits for mail servers looks whether it is halted.
LOOK: Final = 0.2


class Erasable(Protocol):
    """A store that holds something of a person."""

    async def erase(self, user_id: str) -> None:
        """Remove it."""


@dataclass(slots=True)
class _Batch:
    """What is known of a batch so far. `left` are for the next owner: maybe sent."""

    halted: Halted
    outcomes: Outcomes = field(default_factory=list)
    held: list[Job] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    erased: list[Erase] = field(default_factory=list)


class Lane:
    """Delivers the jobs of one topic.

    `counts` are of this process: jobs by status, and `repeated`, `foreign`, `erasures`.
    `maybe_sent` are the jobs sent again though nobody knew of the time before, or to be. `waits`
    says what the lane waits for.
    """

    def __init__(
        self,
        name: str,
        channels: Iterable[Channel],
        ledger: Ledger,
        stores: Sequence[Erasable],
        settings: Settings,
    ) -> None:
        """Deliver over those channels; an erasure goes to the ledger and to those stores."""
        self.name = name
        self.counts: Counter[str] = Counter()
        self.maybe_sent = 0
        self.waits = Waits(f"lane {name}")
        self._channels = {channel.name: channel for channel in channels}
        self._ledger = ledger
        self._stores = stores
        self._scale = settings.retry_scale
        self._reach = points(settings.fault)
        # Of batches that were broken off: outcomes that may not be noted, and jobs of which
        # nobody knows how far they went. They come again, or their claims run out.
        self._known: dict[str, tuple[int, Outcome]] = {}
        self._unknown: set[str] = set()

    async def handle(self, jobs: Sequence[Job | Erase], now: datetime, halted: Halted) -> Results:
        """Deliver a batch. Its records are to be acknowledged before `settle` is called.

        Raises RedisUnavailable while Redis is away: call again with the same batch. Waits inside
        while no channel can deliver. Once `halted`, nothing more is begun and nothing waited for
        but the answers to what is under way; the results are then not `whole`.
        """
        began = monotonic()
        batch = _Batch(halted)
        for record in jobs:
            if isinstance(record, Erase):
                await self._erase(record)
                batch.erased.append(record)
        todo = _last_attempts(record for record in jobs if isinstance(record, Job))
        try:
            while todo:
                # Business time goes on while the lane waits: what expires meanwhile is skipped.
                moment = now + timedelta(seconds=monotonic() - began)
                todo = await self._try(todo, batch, moment)
                if halted():
                    break
                for name in {job.channel for job in todo}:
                    await self._until_ready(self._channels[name], halted)
        except BaseException:
            self._known.update((job.job_id, (job.attempt, out)) for job, out in batch.outcomes)
            self._ledger.drop(job for job, _ in batch.outcomes)
            raise
        return self._results(batch, now, whole=not todo and not batch.left)

    async def _until_ready(self, channel: Channel, halted: Halted) -> None:
        ready = asyncio.ensure_future(channel.ready())
        with self.waits.on(channel.paused_by or f"{channel.name} is not ready"):
            try:
                while not ready.done() and not halted():
                    await asyncio.wait([ready], timeout=LOOK)
            finally:
                await end(ready)

    async def _erase(self, erase: Erase) -> None:
        # The ledger first: from then on no job of before is sent.
        await self._ledger.erase(erase.user_id, erase.at)
        for store in self._stores:
            await store.erase(erase.user_id)
        self.counts["erasures"] += 1

    async def _try(self, jobs: list[Job], batch: _Batch, now: datetime) -> list[Job]:
        """Claim and deliver; return the jobs that nothing could be tried for."""
        todo = await self._claimed(jobs, batch, now)
        self._reach("claimed")
        waiting = todo
        for name in sorted({job.channel for job in todo}, key=self._order):
            mine = [job for job in todo if job.channel == name]
            waiting = [job for job in waiting if job.channel != name]
            if name not in self._channels:
                batch.outcomes += [(job, Outcome("failed", f"no channel {name}")) for job in mine]
                continue
            try:
                await self._deliver(self._channels[name], mine, batch, now)
            except BaseException:
                # The batch comes again, and would wait for those whose turn had not come.
                if waiting:
                    with suppress(RedisUnavailable):
                        await self._ledger.give_back(waiting)
                raise
        had = {job.job_id for job, _ in batch.outcomes} | batch.left
        untried = [job for job in todo if job.job_id not in had]
        if untried:
            try:
                await self._ledger.give_back(untried)
            except RedisUnavailable:
                if not batch.halted():
                    raise
        return untried

    async def _claimed(self, jobs: list[Job], batch: _Batch, now: datetime) -> list[Job]:
        """Return the jobs that are ours to deliver; add what is known of the others."""
        todo: list[Job] = []
        verdicts = await self._ledger.claim(jobs)
        for job, (state, left, outcome) in zip(jobs, verdicts, strict=True):
            attempt, told = self._known.pop(job.job_id, (None, None))
            broken = job.job_id in self._unknown
            self._unknown.discard(job.job_id)
            if state == "done":
                self.counts["repeated"] += 1
            elif state == "foreign":
                self.counts["foreign"] += 1
                batch.held.append(msgspec.structs.replace(job, not_before=now + left))
            elif state == "erased":
                batch.outcomes.append((job, Outcome("skipped", ERASED)))
            elif outcome is not None and state != "suppressed":
                batch.outcomes.append((job, outcome))
            elif told is not None and attempt == job.attempt:
                batch.outcomes.append((job, told))
            elif job.expires_at is not None and job.expires_at <= now:
                reason = f"expired at {job.expires_at.isoformat()}"
                batch.outcomes.append((job, Outcome("skipped", reason)))
            elif outcome is not None:
                batch.outcomes.append((job, outcome))
            else:
                if (state == "maybe" or broken) and not self._repeatable(job):
                    self.maybe_sent += 1
                    logger.warning("job %s: maybe sent before, sent again", job.job_id)
                todo.append(job)
        return todo

    async def _deliver(
        self, channel: Channel, jobs: list[Job], batch: _Batch, now: datetime
    ) -> None:
        begun = len(batch.outcomes)
        try:
            groups = channel.deliver(jobs, now, batch.halted)
            async with aclosing(groups):  # type: ignore[type-var]
                async for group in groups:
                    known = await self._leave(group, batch)
                    batch.outcomes += known
                    self.maybe_sent += sum(outcome.maybe for _, outcome in known)
                    if not channel.repeatable:
                        # Before anything else: who redoes the batch must know.
                        await self._note(known, batch.halted)
        except BaseException as error:
            told = {job.job_id for job, _ in batch.outcomes[begun:]} | batch.left
            left = [job for job in jobs if job.job_id not in told]
            if isinstance(error, RedisUnavailable):
                # Nothing was tried for these.
                with suppress(RedisUnavailable):
                    await self._ledger.give_back(left)
            elif not channel.repeatable:
                self._unknown.update(job.job_id for job in left)
            self._ledger.drop(left)
            raise

    async def _leave(self, group: Outcomes, batch: _Batch) -> Outcomes:
        """Leave to the next owner what nobody answered for while we stop; return the others.

        It sends them again and counts them: these counts are not read any more.
        """
        if not batch.halted():
            return group
        lost = [job for job, outcome in group if outcome.maybe]
        batch.left.update(job.job_id for job in lost)
        self._unknown |= batch.left
        with suppress(RedisUnavailable):
            await self._ledger.leave(lost)
        return [(job, outcome) for job, outcome in group if not outcome.maybe]

    async def _note(self, group: Outcomes, halted: Halted) -> None:
        """Write outcomes down. Until Redis has them, no other mail takes the place of theirs."""
        # Halted without Redis, Kafka alone is told of them, which is what counts.
        with suppress(RedisUnavailable):
            await self.waits.for_redis(lambda: self._ledger.note(group), halted)

    def _results(self, batch: _Batch, now: datetime, whole: bool) -> Results:
        outputs, settled = follow(batch.outcomes, now, self._scale)
        outputs += [waiting(job) for job in batch.held]
        outputs += [forgotten(erase) for erase in batch.erased]
        self._ledger.returned(job for job, _ in settled)

        async def settle() -> None:
            self._reach("unmarked")
            try:
                await self.waits.for_redis(lambda: self._ledger.settle(settled), batch.halted)
            except RedisUnavailable:
                # Halted: Kafka has them, and their offsets may go. If they come again, then to us.
                self._known.update((job.job_id, (job.attempt, out)) for job, out in settled)
                self._ledger.drop(job for job, _ in settled)
            self.counts.update(outcome.status for _, outcome in settled)

        return Results(outputs, settle, whole)

    def _repeatable(self, job: Job) -> bool:
        return job.channel not in self._channels or self._channels[job.channel].repeatable

    def _order(self, name: str) -> tuple[bool, str]:
        """Put channels that are quick and harmless to repeat before the others."""
        return name in self._channels and not self._channels[name].repeatable, name


def _last_attempts(jobs: Iterable[Job]) -> list[Job]:
    """Return each job once, at its last attempt: that there is one settles those before."""
    last: dict[str, Job] = {}
    for job in jobs:
        if job.job_id not in last or job.attempt > last[job.job_id].attempt:
            last[job.job_id] = job
    return list(last.values())
