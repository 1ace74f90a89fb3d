"""Walks: what a trigger, an episode or a campaign says to many, a slice at a time.

A walk is a row with a cursor, so a kill goes on where the last slice was written; nobody is reached
twice or left out. Open walks take turns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord
from sortedcontainers import SortedList

from agents.campaigns import campaigns, come_to, firing_cause, was_there
from streams import kinds, topics
from streams.breaker import TopicBreaker
from streams.decisions import Agent, Arrival, Decision, skip
from streams.outgoing import Outgoing
from streams.routing import Routed
from streams.settings import Settings
from streams.timetable import Firing
from streams.topics import DECODERS, MIB
from streams.work import Work, routed
from tables.counts import Outcome
from tables.partition import Tables
from tables.users import UserRow
from tables.walks import WalkRow

logger = logging.getLogger(__name__)

# Users a slice looks at: the changelog's record batch of a slice stays well under its limit.
CHUNK: Final = 500
# A walk waits while its partition's bulk lane is this far behind, so that campaigns share fairly
# and one that expires meanwhile stops early.
BULK_LAG: Final = 5_000
# Rows are kept as long as identities are: the same trigger again does nothing.
KEPT: Final = timedelta(days=7)

NOBODY: Final[SortedList[str]] = SortedList()
CAMPAIGNS: Final = topics.CAMPAIGNS.name
URGENT_TOPICS: Final = frozenset({topics.REGISTRATION.name})


def open_walk(
    record: ConsumerRecord, routed_to: Routed, tables: Tables, arrival: Arrival
) -> Outcome:
    """Open the walk of a trigger, unless the same one was opened before."""
    walk_id = f"{record.topic}/{routed_to.identity}"
    if walk_id in tables.walks:
        return "duplicate"
    tables.walks[walk_id] = WalkRow(
        topic=record.topic,
        event=msgspec.Raw(record.value),
        cause=arrival.cause,
        identity=arrival.identity,
        as_of=arrival.now,
    )
    return "decided"


def open_firing(firing: Firing, tables: Tables, partition: int) -> None:
    """Open the walk of a campaign's occurrence through the users of one zone."""
    name = str(firing.campaign.campaign_id)
    walk_id = f"{CAMPAIGNS}/{name}@{firing.local}@{firing.zone}"
    if walk_id in tables.walks:
        return
    cause = firing_cause(name, firing.local, partition)
    tables.walks[walk_id] = WalkRow(
        topic=CAMPAIGNS,
        campaign=name,
        cause=cause,
        identity=f"{name}@{firing.local}",
        as_of=firing.instant,
        zone=firing.zone,
        occurrence=firing.local,
        due=firing.instant,
        late=firing.late,
    )


def expire(tables: Tables, now: datetime, limit: int) -> None:
    """Forget up to `limit` walks that ended seven days ago."""
    for walk_id in list(islice(tables.walks.ended_before(now - KEPT), limit)):
        del tables.walks[walk_id]


def advance(
    tables: Tables,
    work: Work,
    settings: Settings,
    agents: Mapping[str, Agent],
    now: datetime | None,
    ends: float,
    busy: bool,
    breaker: TopicBreaker,
) -> bool:
    """Take the walk whose turn it is on by a slice; False if none is open or may go on.

    Before the first tick (`now` is None) it is as late as when the walk was opened.
    """
    walk_id = _turn(tables, busy, breaker)
    row = tables.walks.get(walk_id) if walk_id is not None else None
    if walk_id is None or row is None:
        return False
    now = now or row.as_of
    arrival = Arrival(
        cause=row.cause,
        at=row.due or row.as_of,
        now=now,
        identity=row.identity,
        partition=work.partition,
        settings=settings,
    )
    event = _event(row, tables)
    if event is None:
        tables.walks[walk_id] = msgspec.structs.replace(row, done_at=now)
        tables.keep()
        return True
    users = tables.users
    everyone = users.known if row.zone is None else users.by_zone.get(row.zone, NOBODY)
    after = everyone.bisect_right(row.cursor) if row.cursor else 0
    chunk = list(islice(everyone.islice(after), CHUNK))
    cursor = row.cursor
    ended = len(chunk) < CHUNK
    for number, user_id in enumerate(chunk, 1):
        _visit(user_id, row, event, agents, tables, work, arrival, breaker)
        cursor = user_id
        if monotonic() > ends or work.size + tables.size > MIB or row.topic in breaker.open:
            ended = ended and number == len(chunk)
            break
    tables.walks[walk_id] = msgspec.structs.replace(
        row, cursor=cursor, done_at=now if ended else None
    )
    tables.keep()
    return True


def _turn(tables: Tables, busy: bool, breaker: TopicBreaker) -> str | None:
    for _ in range(len(tables.walks.open)):
        walk_id = tables.walks.next()
        row = tables.walks.get(walk_id or "")
        if walk_id is None or row is None or row.topic in breaker.open:
            continue
        if tables.walks.waits_for_another(walk_id, row):
            continue
        if not (busy and _is_bulk(row, tables)):
            return walk_id
    return None


def _event(row: WalkRow, tables: Tables) -> Any:
    """Return what a walk says; None if its campaign was deleted or stopped meanwhile."""
    if row.campaign is None:
        return DECODERS[row.topic](row.event)
    campaign = campaigns(tables).get(row.campaign)
    return campaign if campaign is not None and campaign.enabled else None


def _is_bulk(row: WalkRow, tables: Tables) -> bool:
    if row.campaign is None:
        return row.topic not in URGENT_TOPICS
    campaign = _event(row, tables)
    return campaign is not None and kinds.KINDS[campaign.kind].lane == kinds.BULK


def _visit(
    user_id: str,
    row: WalkRow,
    event: Any,
    agents: Mapping[str, Agent],
    tables: Tables,
    work: Work,
    arrival: Arrival,
    breaker: TopicBreaker,
) -> None:
    """Decide for one person; what raises for one is said of that one, and the walk goes on."""
    user = tables.users.get(user_id)
    if user is None or user.known_since is None:
        return
    # Who comes in the second before a trigger has the trigger's time, and is meant.
    if user.known_since > row.as_of or (row.due is not None and not was_there(user, row.due)):
        return
    try:
        decisions = list(_decisions(row, event, user, agents, tables, arrival))
        outputs = [output for decision in decisions for output in routed(decision, work.partition)]
        for output in outputs:
            Outgoing.check(output)
        tables.keep()
        breaker.decided(row.topic)
    except Exception as error:
        tables.undo()
        logger.exception("a walk's decision raised (%s)", row.identity)
        breaker.raised(row.topic, error)
        kind = kinds.KINDS[event.kind] if row.topic == CAMPAIGNS else KIND_OF[row.topic]
        decisions = [skip(user, kind, f"error: {type(error).__name__}", arrival)]
        outputs = [output for one in decisions for output in routed(one, work.partition)]
    work.emit(outputs)
    for decision in decisions:
        work.count(decision)


def _decisions(
    row: WalkRow,
    event: Any,
    user: UserRow,
    agents: Mapping[str, Agent],
    tables: Tables,
    arrival: Arrival,
) -> Iterator[Decision]:
    if row.topic == CAMPAIGNS:
        yield from come_to(user, row, event, tables, arrival)
        return
    decide = agents[row.topic].person
    assert decide is not None
    yield from decide(event, user, tables, arrival)


KIND_OF: Final = {
    topics.REGISTRATION.name: kinds.WELCOME,
    topics.EPISODES.name: kinds.EPISODE,
    topics.WEEKLY_REMINDER.name: kinds.WEEKLY_REMINDER,
    topics.MONTHLY_STATISTIC.name: kinds.MONTHLY_STATISTIC,
}
