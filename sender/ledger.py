"""The ledger in Redis: each job goes through once, whoever is killed when.

A worker claims jobs before it delivers them. A claim names its owner (worker and generation) and
has a lease, which is renewed while the job is in hand. What became of a job is noted as soon as it
is known, and made final, or released for the next attempt, after Kafka has acknowledged what
follows from it. One Lua call a batch; one key a user, so that an erasure finds them all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import starmap
from struct import Struct
from typing import Final, Literal

from redis.asyncio import Redis

from sender.channels import Outcome
from sender.group_commit import GroupCommit
from sender.hands import Hands
from sender.verdicts import Verdict, decode_verdict, encode_outcome
from streams.errors import RedisUnavailable
from streams.jobs import Delivery, Job, address_hash
from streams.kinds import EMAIL
from streams.serving import Script, digest, sized
from streams.tasks import end

logger = logging.getLogger(__name__)

# Longer than a worker may stand still and still be alive (session timeout 6 s, and some).
LEASE: Final = timedelta(seconds=15)
# A renewal may be missed once, and the next one still comes in time.
RENEWALS: Final = 3
# As long as the topics keep what could be replayed.
DAYS: Final = 30
# Redis holds still for a millisecond or two for so many.
SLICE: Final = 500

Mark = Literal[b"s", b"f", b"k", b"r", b"n", b"c", b"-"]
MARKS: Final[dict[str, Mark]] = {
    "sent": b"s",
    "failed": b"f",
    "skipped": b"k",
    "retrying": b"r",
    "deferred": b"-",
}
# What packed rows begin with: a user, and when a job was made (a double: Lua counts in them), or
# its mark. An attempt is text, as the ledger keeps it, however large a number it is.
_claimed: Final = Struct(">12sd").pack
_marked: Final = Struct(">12sc").pack


@dataclass
class Ledger:
    """One worker's view of the ledger.

    Every method raises RedisUnavailable while Redis is away. `clock` gives Unix milliseconds;
    without it Redis's own clock counts, the one that all workers share.
    """

    redis: Redis
    worker: str
    generation: str
    lease: timedelta = LEASE
    clock: Callable[[], int] | None = None
    lost: int = 0
    _hands: Hands = field(default_factory=Hands)
    _renewing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        """Get the scripts ready; nothing is sent yet."""
        self._claim = Script(self.redis, "sender", "ledger_claim")
        self._mark = Script(self.redis, "sender", "ledger_mark")
        self._erase = Script(self.redis, "sender", "ledger_erase")
        self._restore = Script(self.redis, "sender", "ledger_restore")
        self._notes = GroupCommit(self._write)
        # No spaces: the name stands between spaces in the ledger.
        self.owner = f"{self.worker}/{self.generation}".replace(" ", "_")

    async def start(self) -> None:
        """Begin to renew the claims of what is in hand."""
        self._renewing = asyncio.create_task(self._renew_for_ever(), name="ledger renewals")

    async def stop(self) -> None:
        """Stop renewing: what is still in hand runs out."""
        await end(self._renewing)

    @property
    def in_hand(self) -> int:
        """How many jobs this worker has claimed and not settled."""
        return len(self._hands)

    async def claim(self, jobs: Sequence[Job]) -> list[Verdict]:
        """Claim the jobs, each at most once in the batch; return a verdict for each, in order.

        Waits while one of them is in hand in this process. Those that are mine, maybe, known or
        in hand are so until `settle`, `give_back` or `drop`.
        """
        await self._hands.take(jobs)
        try:
            found = await self._claim.over(self._head(), map(_claim_of, jobs))
            # As one text: redis-py takes some microseconds for each of a list.
            verdicts = [decode_verdict(text) for text in found.split(b"\0")] if jobs else []
        except BaseException:
            self._hands.drop(jobs)
            raise
        judged = zip(jobs, verdicts, strict=True)
        self._hands.drop(job for job, verdict in judged if not verdict.ours)
        return verdicts

    async def note(self, outcomes: Iterable[tuple[Job, Outcome]]) -> None:
        """Write down what became of jobs, before anything else is told: who redoes them knows."""
        await self._notes.add((job, b"n", encode_outcome(outcome)) for job, outcome in outcomes)

    def returned(self, jobs: Iterable[Job]) -> None:
        """Say that what follows from the jobs is with Kafka now."""
        self._hands.returned(jobs)

    async def settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> None:
        """Make outcomes final, or release a job for its next attempt; free the jobs.

        Called after Kafka has acknowledged the outcomes' records.
        """
        await self._write((job, MARKS[outcome.status], b"") for job, outcome in outcomes)
        self.drop(job for job, _ in outcomes)

    async def leave(self, jobs: Sequence[Job]) -> None:
        """End the claims of jobs that nobody answered for: they are `maybe` to who comes next."""
        try:
            await self._write(((job, b"c", b"") for job in jobs), timedelta())
        finally:
            self.drop(jobs)

    async def give_back(self, jobs: Sequence[Job]) -> None:
        """Give back claims of jobs that nothing was tried for; free the jobs."""
        try:
            await self._write((job, b"-", b"") for job in jobs)
        finally:
            self.drop(jobs)

    def drop(self, jobs: Iterable[Job]) -> None:
        """Free the jobs here and leave their claims to run out."""
        self._hands.drop(jobs)

    async def restore(self, ended: Iterable[Delivery]) -> None:
        """Put back that jobs came to an end, as `deliveries` says, where that is not known."""
        rows = ((*_key(one), MARKS[one.status]) for one in ended)
        await self._restore.over_fields((DAYS,), rows)

    async def erase(self, user_id: str, at: datetime) -> None:
        """Remove a user's entries; jobs made until then are `erased` when they come."""
        await self._erase(digest(user_id), _milliseconds(at), DAYS)

    async def renew(self) -> None:
        """Renew the claims of all that is in hand."""
        live = self._hands.live()
        for start in range(0, len(live), SLICE):
            self.lost += await self._write((job, b"c", b"") for job in live[start : start + SLICE])

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.lease.total_seconds() / RENEWALS)
            try:
                await self.renew()
            except RedisUnavailable as error:
                logger.warning("claims are not renewed: %s", error)

    async def _write(
        self, marks: Iterable[tuple[Job, Mark, bytes]], lease: timedelta | None = None
    ) -> int:
        """Write marks; return how many of the jobs are not ours any more."""
        return len(await self._mark.over(self._head(lease), starmap(_mark_of, marks)))

    def _head(self, lease: timedelta | None = None) -> tuple[str, int | str, int, int]:
        now = "" if self.clock is None else self.clock()
        lease = self.lease if lease is None else lease
        return self.owner, now, int(lease.total_seconds() * 1000), DAYS


def _claim_of(job: Job) -> bytes:
    user, ident = _key(job)
    begin = _claimed(user, _milliseconds(job.created_at))
    address = address_hash(job.to).encode() if job.channel == EMAIL else b""
    return begin + sized(b"%d" % job.attempt) + sized(ident) + sized(address)


def _mark_of(job: Job, mark: Mark, outcome: bytes) -> bytes:
    user, ident = _key(job)
    return _marked(user, mark) + sized(b"%d" % job.attempt) + sized(ident) + sized(outcome)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _key(job: Job | Delivery) -> tuple[bytes, bytes]:
    """Return key and field of a job: half the bytes where the id is a hash in hex."""
    try:
        return digest(job.user_id), bytes.fromhex(job.job_id)
    except ValueError:
        return digest(job.user_id), job.job_id.encode()
