"""What has rested until its time came: windows of activity that have ended, and jobs that waited.

Decided as late as this: who has unsubscribed in the meantime gets nothing.
"""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Final

from agents.activity import close
from agents.held import release
from streams import kinds
from streams.attempts import attempt
from streams.breaker import TopicBreaker
from streams.decisions import Arrival, Decision, skip
from streams.jobs import Cause
from streams.settings import Settings
from streams.topics import ACTIVITY, HELD, MIB
from streams.work import Work
from tables.partition import Tables

# Looked up at once; time and size end a slice before it comes to so many.
RELEASED: Final = 500


def advance(
    tables: Tables,
    work: Work,
    settings: Settings,
    now: datetime,
    ends: float,
    breaker: TopicBreaker,
) -> bool:
    """Decide what is due, the longest due first, for a slice; False if nothing is.

    Windows come before jobs: whoever is told by them is told over an urgent lane.
    """
    found = False
    for topic, table, decide in (
        (ACTIVITY.name, tables.groups, _close),
        (HELD.name, tables.deferred, _release),
    ):
        if topic in breaker.open:
            continue
        for key in table.due(now, RELEASED):
            found = True
            decide(key, tables, work, settings, now, breaker)
            if topic in breaker.open:
                break
            if work.size > MIB or monotonic() > ends:
                return True
    return found


def _close(
    key: str,
    tables: Tables,
    work: Work,
    settings: Settings,
    now: datetime,
    breaker: TopicBreaker,
) -> None:
    window = tables.groups.rows[key]
    arrival = _arrival(window.cause, window.identity, work.partition, settings, now)
    user = tables.users.of(window.user_id)

    def instead(reason: str) -> Decision:
        del tables.groups[key]
        return skip(user, kinds.ACTIVITY, reason, arrival)

    told = attempt(
        lambda: close(key, user, tables, arrival),
        instead,
        f"the end of the window that {window.identity} opened",
        ACTIVITY.name,
        tables,
        work,
        breaker,
    )
    work.count(told)


def _release(
    key: str,
    tables: Tables,
    work: Work,
    settings: Settings,
    now: datetime,
    breaker: TopicBreaker,
) -> None:
    job = tables.deferred.rows[key].job
    arrival = _arrival(job.cause, key, work.partition, settings, now)
    user = tables.users.of(job.user_id)

    def instead(reason: str) -> Decision:
        del tables.deferred[key]
        return job.delivery("failed", reason, now)

    # Their ids were counted when they were decided first.
    attempt(
        lambda: release(job, user, tables, arrival),
        instead,
        f"the release of job {key}",
        HELD.name,
        tables,
        work,
        breaker,
    )


def _arrival(
    cause: Cause, identity: str, partition: int, settings: Settings, now: datetime
) -> Arrival:
    return Arrival(
        cause=cause, at=now, now=now, identity=identity, partition=partition, settings=settings
    )
