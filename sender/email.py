"""The email channel: from a job to the bytes that a mail server has taken."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from sender.channels import Halted, Outcome, Outcomes, fault
from sender.links import ConfirmLinks, LinkMaker
from sender.message import Mail, build
from sender.render import Renderer
from sender.segments import Segments
from sender.smtp.destinations import Destinations, PutOff
from sender.smtp.envelope import Envelope
from sender.smtp.opening import Unreachable
from sender.smtp.pool import Pool
from sender.suppressions import Suppressions
from streams import kinds
from streams.errors import InvalidMail, RedisUnavailable, TemplateError
from streams.faults import points
from streams.fields import address
from streams.jobs import Job
from streams.kinds import EMAIL
from streams.settings import Settings
from streams.tasks import end

logger = logging.getLogger(__name__)


# Seconds that a mail waits for its turn at its domain before it is put off. A bulk mail reserves no
# turn that is further away than its own patience, so an urgent one need not wait for longer.
TURN: Final = {kinds.BULK: 0.25, kinds.URGENT: 1.0}


def _domain(job: Job) -> str:
    return job.to.rpartition("@")[2].lower()


@dataclass
class EmailChannel:
    """Sends jobs as mails, as many at once as the pool is for.

    A mail is in flight from before its first command until its outcome is written down: so many
    may have been sent, and nobody knows, when the process is killed.
    """

    settings: Settings
    renderer: Renderer
    links: LinkMaker
    confirmations: ConfirmLinks
    suppressions: Suppressions
    pool: Pool
    destinations: Destinations
    lane: str
    name: str = EMAIL
    repeatable: bool = False
    _slots: asyncio.Semaphore = field(init=False)
    _segments: Segments = field(init=False)

    def __post_init__(self) -> None:
        """Have as many mails in flight as the pool is for: over all batches and servers."""
        self._slots = asyncio.Semaphore(self.pool.size)
        self._segments = Segments(self.renderer)
        self._reach = points(self.settings.fault)

    @property
    def paused_by(self) -> str | None:
        """Why no mail can be sent now."""
        return self.pool.paused_by

    async def start(self) -> None:
        """Connect with the first mail."""

    async def stop(self) -> None:
        """Close the connections in good order."""
        await self.pool.close()

    async def ready(self) -> None:
        """Wait until a mail server may be asked again."""
        await self.pool.ready()

    async def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        """Send the jobs' mails and yield outcomes as they come in.

        Raises RedisUnavailable before anything is tried: links are written down first.
        """
        await self.confirmations.store(jobs)
        done: asyncio.Queue[tuple[Job, Outcome] | None] = asyncio.Queue()
        until = monotonic() + TURN[self.lane]
        workers = [
            asyncio.create_task(self._work(line, done, now, until, halted))
            for line, many in self._lines(jobs)
            for _ in range(many)
        ]
        running = len(workers)
        try:
            while running:
                group: Outcomes = []
                item = await done.get()
                while True:
                    if item is None:
                        running -= 1
                    else:
                        group.append(item)
                    if done.empty():
                        break
                    item = done.get_nowait()
                if group:
                    try:
                        yield group
                    finally:
                        self._free(len(group))
        finally:
            await end(*workers)
            while not done.empty():
                self._free(done.get_nowait() is not None)

    def _lines(self, jobs: Sequence[Job]) -> Iterator[tuple[Iterator[Job], int]]:
        """Yield the lines in which the jobs wait, and how many workers each is worth.

        A domain with a limit has one of its own: who waits for its turn keeps nobody else.
        """
        lines: defaultdict[str | None, list[Job]] = defaultdict(list)
        for job in jobs:
            domain = _domain(job)
            lines[domain if self.destinations.limit(domain) else None].append(job)
        for name, line in lines.items():
            limit = None if name is None else self.destinations.limit(name)
            many = min(len(line), self.pool.size, limit.connections if limit else len(line))
            yield iter(line), many

    async def _work(
        self,
        jobs: Iterator[Job],
        done: asyncio.Queue[tuple[Job, Outcome] | None],
        now: datetime,
        until: float,
        halted: Halted,
    ) -> None:
        """Send one job after the other, until there is none or no server to be reached."""
        try:
            for job in jobs:
                async with AsyncExitStack() as turn:
                    put_off = await self._turn(job, turn, until)
                    await self._slots.acquire()
                    outcome = None
                    try:
                        if halted():
                            return
                        outcome = put_off or await self._send(job, now)
                        if outcome is None:
                            return
                        done.put_nowait((job, outcome))
                    finally:
                        # Else it is freed when the outcome has been written down.
                        self._free(outcome is None)
        finally:
            done.put_nowait(None)

    async def _turn(self, job: Job, turn: AsyncExitStack, until: float) -> Outcome | None:
        """Take the turn of a mail at its domain; return what becomes of it if that is too late."""
        domain = _domain(job)
        if self.destinations.limit(domain) is not None:
            try:
                await turn.enter_async_context(self.destinations.turn(domain, self.lane, until))
            except PutOff as error:
                return Outcome("deferred", str(error), after=timedelta(seconds=error.after))
        return None

    def _free(self, slots: int) -> None:
        for _ in range(slots):
            self._slots.release()

    async def _send(self, job: Job, now: datetime) -> Outcome | None:
        """Return what became of one mail; None if nothing was tried."""
        try:
            address(job.to, "the address")
        except ValueError as error:
            return Outcome("failed", str(error))
        try:
            outcome = await self.pool.send(self._envelope(job, now))
            self._reach("accepted")
        except Unreachable as error:
            logger.info("job %s: %s", job.job_id, error)
            return None
        except TemplateError as error:
            logger.warning("job %s: %s", job.job_id, error)
            return Outcome("failed", f"template: {error}")
        except InvalidMail as error:
            return Outcome("failed", str(error))
        except Exception as error:
            return fault(job, error)
        if outcome.suppress:
            # It lasts by its record; until that is read, Redis may as well know.
            with suppress(RedisUnavailable):
                await self.suppressions.add(job.to, outcome.reason, now)
        return outcome

    def _envelope(self, job: Job, now: datetime) -> Envelope:
        links = self.links.of(job)
        rendered = self._segments.render(job, links, now)
        mail = Mail.of(job, rendered, links, self.settings.mail_from, now)
        return Envelope(
            mail.envelope_from,
            mail.envelope_to,
            mail.needs_smtputf8,
            lambda eightbit: build(mail, eightbit=eightbit),
        )
