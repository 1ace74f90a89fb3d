"""Greetings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, person_agent, skip
from streams.events import Registration
from streams.jobs import Job
from tables.partition import Tables
from tables.users import UserRow


@person_agent(topics.REGISTRATION)
def welcome(
    event: Registration, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Greet a person once, with a link that confirms the address."""
    if event.email is not None:
        user = tables.users.register(event, arrival.at, arrival.now)
    elif user.greeted:
        return
    if user.greeted:
        yield skip(user, kinds.WELCOME, "greeted already", arrival)
        return
    context = {"username": user.username, "redirect": event.redirect}
    decisions = list(notify(user, kinds.WELCOME, user.user_id, context, arrival))
    if any(isinstance(decision, Job) for decision in decisions):
        tables.users[user.user_id] = msgspec.structs.replace(user, greeted=True)
    yield from decisions
