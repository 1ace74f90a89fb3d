"""Jobs that wait: they rest until they are due and are then decided again under the same id."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams import kinds, topics
from streams.decisions import Arrival, Decision, person_agent, refusal, wait
from streams.delivery_log import ERASED
from streams.errors import InvalidRecord
from streams.jobs import Job
from tables.deferred import DeferredRow
from tables.partition import Tables
from tables.person import UserRow


@person_agent(topics.HELD)
def hold(event: Job, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Let a job rest until it is due."""
    if event.kind not in kinds.KINDS:
        raise InvalidRecord(f"kind {event.kind[:64]!r} is none of {', '.join(kinds.KINDS)}")
    if tables.erased.covers(event):
        # It was on its way when the person left, and must not rest in a table again.
        yield event.delivery("skipped", ERASED, arrival.now)
        return
    resting = tables.deferred.get(event.job_id)
    if not outdated(event, resting.job if resting else None):
        due = event.not_before or arrival.now
        tables.deferred[event.job_id] = DeferredRow(msgspec.structs.replace(event, not_before=due))


def outdated(job: Job, resting: Job | None) -> bool:
    """Tell whether a later attempt of that job rests already: the ledger lets through that alone.

    Who finds a job claimed by another puts it off as it is; the other's next attempt may be here.
    """
    return resting is not None and resting.attempt > job.attempt


def release(job: Job, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Decide a due job again: much may have changed since."""
    del tables.deferred[job.job_id]
    kind = kinds.KINDS[job.kind]
    reason = refusal(user, kind, arrival.now)
    if reason is None and job.channel not in user.channels(kind):
        reason = f"{job.channel} is not chosen any more"
    if reason is None and job.expires_at is not None and job.expires_at <= arrival.now:
        reason = f"expired at {job.expires_at.isoformat()}"
    if reason is not None:
        yield job.delivery("skipped", reason, arrival.now)
        return
    yield wait(_readdressed(job, user, arrival), user, arrival.now, arrival.settings)


def _readdressed(job: Job, user: UserRow, arrival: Arrival) -> Job:
    """Return the job as it would be made now; a letter stays with the address it was given."""
    free = msgspec.structs.replace(job, not_before=None)
    if user.email is None or job.kind == kinds.LETTER.name:
        return free
    return msgspec.structs.replace(
        free,
        to=user.email if job.channel == kinds.EMAIL else job.to,
        locale=user.locale(arrival.settings.default_locale),
        timezone=user.timezone(arrival.settings.default_timezone),
    )
