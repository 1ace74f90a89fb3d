"""What has rested until its time came: windows of activity that have ended, and jobs that waited.

Decided as late as this: who has unsubscribed in the meantime gets nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime
from time import monotonic
from typing import Final

from agents.activity import close
from agents.held import release
from streams import kinds
from streams.breaker import TopicBreaker
from streams.decisions import Arrival, skip
from streams.jobs import Cause
from streams.settings import Settings
from streams.topics import ACTIVITY, HELD, MIB
from streams.work import Work, routed
from tables.partition import Tables

logger = logging.getLogger(__name__)

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
    try:
        told = list(close(key, user, tables, arrival))
        breaker.decided(ACTIVITY.name)
    except Exception as error:
        tables.undo()
        logger.exception("the end of the window that %s opened raised", window.identity)
        breaker.raised(ACTIVITY.name, error)
        del tables.groups[key]
        told = [skip(user, kinds.ACTIVITY, f"error: {type(error).__name__}", arrival)]
    for decision in told:
        work.emit(routed(decision, work.partition))
        work.count(decision)
    tables.keep()


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
    try:
        decisions = list(release(job, user, tables, arrival))
        breaker.decided(HELD.name)
    except Exception as error:
        tables.undo()
        logger.exception("the release of job %s raised", key)
        breaker.raised(HELD.name, error)
        del tables.deferred[key]
        decisions = [job.delivery("failed", f"error: {type(error).__name__}", now)]
    # Their ids were counted when they were decided first.
    for decision in decisions:
        work.emit(routed(decision, work.partition))
    tables.keep()


def _arrival(
    cause: Cause, identity: str, partition: int, settings: Settings, now: datetime
) -> Arrival:
    return Arrival(
        cause=cause, at=now, now=now, identity=identity, partition=partition, settings=settings
    )
