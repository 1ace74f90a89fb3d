"""New episodes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, person_agent
from streams.events import Episode
from streams.fields import user_of
from tables.partition import Tables
from tables.person import Profile, UserRow


@person_agent(topics.EPISODES)
def announce(event: Episode, user: UserRow, tables: Tables, arrival: Arrival) -> Iterator[Decision]:
    """Tell of a new episode: those named, else those who follow the series."""
    if event.users is not None:
        user = _named(event, user)
    elif not follows(user.user_id, event.series_id or "", tables):
        return
    context = {
        "username": user.username,
        "serial_name": event.serial_name,
        "link": event.link,
        "season": event.season,
        "episode": event.episode,
        "link_out": event.link_out,
    }
    yield from notify(user, kinds.EPISODE, f"episodes\x1f{arrival.identity}", context, arrival)


def follows(user_id: str, series_id: str, tables: Tables) -> bool:
    """Tell whether a person has the series on the list or has watched some of it."""
    if tables.bookmarks.has(user_id, series_id):
        return True
    return any(
        film_id == series_id or tables.films.series_of(film_id) == series_id
        for film_id in tables.watch_history.films(user_id)
    )


def _named(event: Episode, user: UserRow) -> UserRow:
    """Return the row, with name and address as the producer gave them where we know none."""
    if user.email:
        return user
    one = next(one for one in event.users or () if user_of(one.email) == user.user_id)
    return msgspec.structs.replace(user, profile=Profile(email=one.email, username=one.name))
