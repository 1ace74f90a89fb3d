"""Jobs that rest until they are due: outside a window, or to be tried again."""

from __future__ import annotations

import msgspec

from streams.jobs import Job
from tables.resting import Resting


class DeferredRow(msgspec.Struct, frozen=True):
    """One job that rests; `not_before` in it says until when."""

    job: Job


class Deferred(Resting[DeferredRow]):
    """Jobs by job id."""

    name = "deferred"
    row = DeferredRow

    def until(self, row: DeferredRow) -> float:
        assert row.job.not_before is not None
        return row.job.not_before.timestamp()

    def owner(self, row: DeferredRow) -> str:
        return row.job.user_id
