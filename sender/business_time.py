"""What time it is for business: expiry and dates follow the clock, leases the wall clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from aiokafka import ConsumerRecord

from streams.clock import tick_of
from streams.events import now_utc
from streams.jobs import Erase, Job
from streams.processing import Done
from streams.settings import Settings
from streams.transport import Batch


class BusinessTime:
    """The last tick of each partition; on the wall clock simply the wall clock's time."""

    def __init__(self, settings: Settings) -> None:
        """Follow the clock that the settings name."""
        self.follows_topic = settings.clock == "topic"
        self._ticks: dict[int, datetime] = {}

    async def process(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Take the ticks of a partition; its time never goes back."""
        for record in records:
            try:
                tick = tick_of(record.value)
            except msgspec.DecodeError:
                # The streams worker makes it a dead letter.
                continue
            before = self._ticks.get(batch.tp.partition)
            if before is None or tick > before:
                self._ticks[batch.tp.partition] = tick
        return Done(records[-1].offset + 1)

    def now(self, partition: int | None = None, jobs: Sequence[Job | Erase] = ()) -> datetime:
        """Return the time of a partition, of the latest where none is named.

        Before the first tick it is as late as the youngest of the jobs.
        """
        if not self.follows_topic:
            return now_utc()
        known = self._ticks.get(partition) if partition is not None else None
        if known is None and partition is None and self._ticks:
            known = max(self._ticks.values())
        made = [job.created_at for job in jobs if isinstance(job, Job)]
        times = [*made, *([known] if known is not None else [])]
        return max(times, default=now_utc())
