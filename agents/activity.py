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
from tables.partition import Tables
from tables.users import Profile, UserRow

# How long the same letter to the same address is one letter (CONTRACT, `letters`).
SAME_LETTER: Final = timedelta(hours=24)


@person_agent(topics.ACTIVITY)
def tell(event: Activity, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Put what happened into the person's inbox, also of someone not known yet."""
    context: dict[str, Any] = {"body": event.body}
    yield from notify(user, kinds.ACTIVITY, f"activity\x1f{arrival.identity}", context, arrival)


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
