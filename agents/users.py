"""Profiles, what people chose, and the addresses they confirmed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agents.moves import catch_up
from streams import topics
from streams.decisions import Arrival, Decision, person_agent
from streams.events import Preferences, User
from streams.jobs import Confirmation
from tables.partition import Tables
from tables.person import UserRow


@person_agent(topics.USERS, erases=True)
def remember(event: User, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Keep the profile as the cinema has it."""
    after = tables.users.remember(event, arrival.at, arrival.now)
    yield from catch_up(user, after, tables, arrival)


@person_agent(topics.PREFERENCES)
def choose(
    event: Preferences, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Keep what the person chose; it wins over the profile."""
    after = tables.users.choose(event, arrival.at, arrival.now)
    yield from catch_up(user, after, tables, arrival)


@person_agent(topics.CONFIRMATIONS)
def confirm(
    event: Confirmation, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Mark the address as confirmed, unless the person has another by now."""
    if user.email is None or user.email.lower() == event.email.lower():
        tables.users[user.user_id] = msgspec.structs.replace(user, confirmed_at=event.at)
    yield from ()
