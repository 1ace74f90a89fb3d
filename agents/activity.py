"""What happened to a person, for the inbox, and letters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final

import msgspec

from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, person_agent, skip
from streams.events import Activity, Letter
from streams.fields import user_of
from streams.jobs import Job
from tables.groups import GroupRow, Groups
from tables.partition import Tables
from tables.person import Profile, UserRow

# How long the same letter to the same address is one letter (CONTRACT, `letters`).
SAME_LETTER: Final = timedelta(hours=24)


@person_agent(topics.ACTIVITY)
def tell(event: Activity, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Put what happened into the person's inbox, also of someone not known yet."""
    if event.group:
        yield from gather(event, user, tables, arrival)
        return
    context: dict[str, Any] = {"body": event.body}
    yield from notify(user, kinds.ACTIVITY, _occasion(arrival), context, arrival)


def gather(event: Activity, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Let an event wait for others of its group; the first of them opens a window."""
    key = Groups.key(user.user_id, event.group or "")
    window = tables.groups.get(key)
    tick = tables.counts.book.tick
    # By ticks alone, which are written before anything is said of a window they end: now before the
    # first tick is a record's own time, and would be another after a kill.
    if window is not None and tick is not None and window.due <= tick:
        yield from close(key, user, tables, arrival)
        window = None
    if window is not None:
        tables.groups[key] = window.joined(event.body)
        return
    tables.groups[key] = GroupRow(
        user_id=user.user_id,
        due=arrival.now.timestamp() + arrival.settings.group_seconds,
        cause=arrival.cause,
        identity=arrival.identity,
        count=1,
        bodies=[event.body],
    )


def close(key: str, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Say what a window holds, if the person wants it by now.

    Its occasion is the event that opened it; a window of one event is that event.
    """
    window = tables.groups.get(key)
    assert window is not None
    del tables.groups[key]
    context: dict[str, Any] = {"body": window.bodies[0]}
    if window.count > 1:
        context |= {"count": window.count, "bodies": window.bodies}
    opened = msgspec.structs.replace(arrival, cause=window.cause, identity=window.identity)
    yield from notify(user, kinds.ACTIVITY, _occasion(opened), context, opened)


@person_agent(topics.LETTERS)
def post(event: Letter, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Send a letter as it was written, once a day to an address."""
    address = next(one for one in event.addresses if user_of(one) == user.user_id)
    content = msgspec.json.encode((event.subject, event.text, event.body))
    digest = blake2b(content, digest_size=16).hexdigest()
    if tables.seen.within("same letter", user.user_id, digest, arrival.now, SAME_LETTER):
        yield skip(user, kinds.LETTER, "the same letter within 24 h", arrival)
        return
    profile = user.profile or Profile(email=address, username="")
    profile = msgspec.structs.replace(profile, email=address)
    reader = msgspec.structs.replace(user, profile=profile)
    context = {"subject": event.subject, "text": event.text, "body": event.body}
    occasion = f"letters\x1f{arrival.identity}"
    for decision in notify(reader, kinds.LETTER, occasion, context, arrival):
        if isinstance(decision, Job):
            tables.seen.add("same letter", user.user_id, digest, arrival.now)
        yield decision


def _occasion(arrival: Arrival) -> str:
    return f"activity\x1f{arrival.identity}"
