"""The jobs that this process has in hand: claimed, and not settled yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from streams.jobs import Job

logger = logging.getLogger(__name__)

# How long a batch may wait for Kafka before its claims are left to run out: the boundary ends the
# worker after 30 s, so one that takes longer was dropped and somebody else has its records.
ACKNOWLEDGED: Final = 60.0


@dataclass(slots=True)
class _Hand:
    """`freed`, once somebody waits for it, is cancelled when the job is settled or given back."""

    job: Job
    freed: asyncio.Future[None] | None = None
    returned: float | None = None

    def waited_for(self) -> asyncio.Future[None]:
        if self.freed is None:
            self.freed = asyncio.get_running_loop().create_future()
        return self.freed


class Hands:
    """Which jobs are in hand; each is in one batch at a time."""

    def __init__(self) -> None:
        self._hands: dict[str, _Hand] = {}

    def __len__(self) -> int:
        """Return how many jobs are in hand."""
        return len(self._hands)

    async def take(self, jobs: Sequence[Job]) -> None:
        """Wait until none of the jobs is in hand, then take them all.

        A repeat of a job in hand may be dropped only when the first is settled: its offset would
        be committed, and a kill would lose both.
        """
        while hands := [self._hands[job.job_id] for job in jobs if job.job_id in self._hands]:
            await asyncio.wait([hand.waited_for() for hand in hands])
        for job in jobs:
            self._hands[job.job_id] = _Hand(job)

    def drop(self, jobs: Iterable[Job]) -> None:
        """Let the jobs go; whoever waits for one may have it."""
        for job in jobs:
            if (hand := self._hands.pop(job.job_id, None)) and hand.freed is not None:
                hand.freed.cancel()

    def returned(self, jobs: Iterable[Job]) -> None:
        """Say that what follows from the jobs is with Kafka now."""
        for job in jobs:
            if hand := self._hands.get(job.job_id):
                hand.returned = monotonic()

    def live(self) -> list[Job]:
        """Return the jobs whose claims are to be renewed; drop what was forgotten on its way."""
        now = monotonic()
        for hand in list(self._hands.values()):
            if hand.returned is not None and now - hand.returned > ACKNOWLEDGED:
                logger.warning("job %s was never acknowledged: its claim ends", hand.job.job_id)
                self.drop([hand.job])
        return [hand.job for hand in self._hands.values()]
