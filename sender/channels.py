"""What all channels meet: jobs in, one outcome for each out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from streams.jobs import Job
from streams.records import Output

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try of one job.

    `after` is how long to wait before the next try; for `retrying` None leaves the pace to the
    lane. `deferred` was not tried and comes again as the same try.
    `suppress` asks for the address to be left alone from now on (RFC 3463: 5.1.x).
    `maybe` says that it may have arrived though nobody said so: a repeat may be a second one.
    `outputs` are records to be acknowledged before the job is marked (an inbox entry).
    """

    status: Literal["sent", "skipped", "failed", "retrying", "deferred"]
    reason: str
    after: timedelta | None = None
    suppress: bool = False
    maybe: bool = False
    outputs: tuple[Output, ...] = ()


def fault(job: Job, error: Exception) -> Outcome:
    """Return the outcome of a job that met an error of ours: it costs a try, and no neighbour any.

    A release that mends the error still finds the jobs: failed, they would be gone for good.
    What is logged is where it happened: the message may quote what the job says.
    """
    place = "".join(traceback.format_tb(error.__traceback__, limit=-3))
    logger.error("job %s: %s\n%s", job.job_id, type(error).__name__, place)
    return Outcome("retrying", f"error: {type(error).__name__}")


Outcomes = list[tuple[Job, Outcome]]
#: Whether no further job is to be begun: the worker stops, or the jobs' partition is another's.
Halted = Callable[[], bool]


class Channel(Protocol):
    """One way to reach a person.

    `repeatable`: delivering a job again does nothing (an inbox knows its job ids), so that nobody
    needs to know how far a try went. `paused_by` says what the channel waits for, None if nothing.
    """

    name: str
    repeatable: bool

    @property
    def paused_by(self) -> str | None:
        """What keeps every job back at the moment."""

    async def start(self) -> None:
        """Open what the channel needs; called once, before the first job."""

    async def stop(self) -> None:
        """Close in good order; no job is given after."""

    def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        """Deliver the jobs and yield their outcomes in groups, each as soon as it is known.

        A job that fails never touches its neighbours. A job that nothing was tried for, because
        nothing can be (every server away) or is to be (`halted`), is left out: wait until `ready`,
        then ask again. Whoever asks for the next group has written down the one before.
        """
        ...

    async def ready(self) -> None:
        """Wait until it makes sense to ask again."""


class LogChannel:
    """A channel that only says what it would send: the seam for SMS and push."""

    name = "log"
    repeatable = True
    paused_by: str | None = None

    async def start(self) -> None:
        """Need nothing."""

    async def stop(self) -> None:
        """Hold nothing."""

    async def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        """Log each job's id and kind (no personal data) and call it sent."""
        for job in jobs:
            logger.warning("log channel: job %s of kind %s", job.job_id, job.kind)
        yield [(job, Outcome("sent", "logged")) for job in jobs]

    async def ready(self) -> None:
        """Be ready always."""
