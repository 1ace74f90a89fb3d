"""Greetings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, person_agent, skip
from streams.events import Registration
from streams.jobs import Job
from tables.partition import Tables
from tables.person import UserRow


@person_agent(topics.REGISTRATION)
def welcome(
    event: Registration, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Greet a person once, with a link that confirms the address."""
    if event.renews is not None:
        yield from renew(event, user, tables, arrival)
        return
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


def renew(
    event: Registration, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Greet once more in the place of a link that has expired: once for each, to its address."""
    kind, code = kinds.WELCOME, event.renews or ""
    if user.confirmed_at is not None:
        yield skip(user, kind, "confirmed already", arrival)
    elif (user.email or "").lower() != (event.email or "").lower():
        yield skip(user, kind, "another address by now", arrival)
    elif user.said(kind.name, code):
        yield skip(user, kind, "renewed already", arrival)
    else:
        tables.users[user.user_id] = user.saying(kind.name, code)
        context = {"username": user.username, "redirect": event.redirect}
        yield from notify(user, kind, f"{user.user_id}\x1f{code}", context, arrival)
