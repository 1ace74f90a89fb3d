"""Walks: what a trigger, an episode or a campaign says to many, a slice at a time.

A walk is a row with a cursor, so a kill goes on where the last slice was written; nobody is reached
twice or left out. Open walks take turns, those of one campaign together: it has one in each zone.
"""

from __future__ import annotations

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
from streams.attempts import attempt
from streams.breaker import TopicBreaker
from streams.decisions import Agent, Arrival, Decision, skip
from streams.fields import same_zone
from streams.routing import Routed
from streams.settings import Settings
from streams.timetable import Firing
from streams.topics import DECODERS, MIB
from streams.work import Work
from tables.counts import Outcome
from tables.partition import Tables
from tables.person import UserRow
from tables.walks import WalkRow

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
    """Take the walks whose turn it is on by a slice; False if none is open or may go on.

    Before the first tick (`now` is None) it is as late as when a walk was opened.
    """
    left, walked, over = CHUNK, False, False
    for walk_id, row in _turn(tables, busy, breaker):
        moment = now or row.as_of
        arrival = Arrival(
            cause=row.cause,
            at=row.due or row.as_of,
            now=moment,
            identity=row.identity,
            partition=work.partition,
            settings=settings,
        )
        event = _event(row, tables)
        cursor, ended = row.cursor, True
        for user_id in _people(row, event, tables):
            if over:
                ended = False
                break
            _visit(user_id, row, event, agents, tables, work, arrival, breaker)
            cursor, left = user_id, left - 1
            over = (
                left == 0
                or monotonic() > ends
                or work.size + tables.size > MIB
                or row.topic in breaker.open
            )
        done_at = moment if ended else None
        tables.walks[walk_id] = msgspec.structs.replace(row, cursor=cursor, done_at=done_at)
        tables.keep()
        walked = True
        if over:
            break
    return walked


def _turn(tables: Tables, busy: bool, breaker: TopicBreaker) -> Iterator[tuple[str, WalkRow]]:
    """Yield the walks of the one whose turn it is among those that may go on."""
    for _ in range(len(tables.walks.open)):
        found = [(walk_id, tables.walks.rows[walk_id]) for walk_id in tables.walks.next()]
        _, first = found[0]
        if first.topic in breaker.open or (busy and _is_bulk(first, tables)):
            continue
        yield from found
        return


def _people(row: WalkRow, event: Any, tables: Tables) -> Iterator[str]:
    """Return whom a walk has not looked at yet, in order of id."""
    if event is None:
        return iter(())
    users = tables.users
    everyone = users.known if row.zone is None else users.by_zone.get(row.zone, NOBODY)
    if row.zone is not None and event.audience != "all":
        # A thousand among a hundred thousand: where they can be told from the rest at once, nobody
        # else is looked at.
        zones, listed = event.audience.timezones, event.audience.users
        if zones is not None and same_zone(row.zone) not in map(same_zone, zones):
            return iter(())
        if listed is not None:
            here = listed.intersection(everyone)
            return iter(sorted(user_id for user_id in here if user_id > row.cursor))
    return iter(everyone.islice(everyone.bisect_right(row.cursor)))


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
    kind = kinds.KINDS[event.kind] if row.topic == CAMPAIGNS else KIND_OF[row.topic]
    told = attempt(
        lambda: _decisions(row, event, user, agents, tables, arrival),
        lambda reason: skip(user, kind, reason, arrival),
        f"a decision of the walk {row.identity}",
        row.topic,
        tables,
        work,
        breaker,
    )
    work.count(told)


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
