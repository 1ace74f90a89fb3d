"""Watches and lists: applied, nothing is said but why one is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import msgspec

from streams import kinds, topics
from streams.decisions import Arrival, Decision, person_agent, skip
from streams.errors import InvalidRecord
from streams.events import Bookmark, Watch
from tables.months import kept_since, month_of, not_kept
from tables.partition import Tables
from tables.person import UserRow
from tables.watch_history import LocalTime

# Clocks of players are off by minutes, of phones abroad by a day; more is a mistake.
AHEAD: Final = timedelta(hours=48)


@person_agent(topics.WATCH_HISTORY)
def watch(event: Watch, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Keep what was watched; months are computed on reading."""
    if event.at > arrival.now + AHEAD:
        raise InvalidRecord(f"at is more than 48 h ahead of the clock: {event.at}")
    kind = kinds.MONTHLY_STATISTIC
    if event.at < kept_since(arrival.now):
        yield skip(user, kind, not_kept(f"a watch of {month_of(event.at)}"), arrival)
        return
    tables.watch_history.record(event)
    reported = user.occasions.get(kind.name)
    if reported:
        local = LocalTime(user, arrival.settings.default_timezone)
        month = month_of(local.of(event.at.timestamp()))
        if month in reported:
            # No row can hold more months than are reported of those that are kept.
            late = {one: number for one, number in user.late.items() if one in reported}
            late[month] = late.get(month, 0) + 1
            tables.users[user.user_id] = msgspec.structs.replace(user, late=late)


@person_agent(topics.BOOKMARKS)
def bookmark(
    event: Bookmark, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Put a series on the person's list, or take it off."""
    at = arrival.at.timestamp()
    tables.bookmarks.change(user.user_id, event.series_id, event.added, at)
    yield from ()
