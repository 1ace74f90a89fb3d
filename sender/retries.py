"""When a job is tried again, and when it is given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from sender.channels import Outcome
from streams.jobs import Job

# Quick at first, for what passes (a restart, greylisting), then once a day (RFC 5321, 4.5.4.1:
# "at least 4-5 days" before giving up; this is two weeks).
PACE: Final = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
TRIES: Final = 18


def conclude(job: Job, outcome: Outcome, now: datetime, scale: float) -> tuple[Outcome, Job | None]:
    """Return the outcome, failed where no try is left, and the job as it goes to `held` if any is.

    `scale` stretches the pace (CINEMA_RETRY_SCALE). The outcome's own pace comes before ours. What
    is deferred goes to `held` as the same try.
    """
    if outcome.status == "deferred" and outcome.after is not None:
        return outcome, msgspec.structs.replace(job, not_before=now + outcome.after)
    if outcome.status != "retrying":
        return outcome, None
    pace = outcome.after or PACE[min(job.attempt, len(PACE) - 1)]
    when = now + pace * scale
    if job.attempt + 1 >= TRIES:
        return _given_up(outcome, f"given up after {TRIES} tries"), None
    if job.expires_at is not None and when >= job.expires_at:
        return _given_up(outcome, "given up: it expires before the next try"), None
    return outcome, msgspec.structs.replace(job, attempt=job.attempt + 1, not_before=when)


def _given_up(outcome: Outcome, why: str) -> Outcome:
    return replace(outcome, status="failed", reason=f"{why}: {outcome.reason}", after=None)
