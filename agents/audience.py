"""Whom a campaign is for."""

from __future__ import annotations

from datetime import datetime, timedelta

from streams.decisions import Arrival
from streams.events import Audience
from streams.fields import same_zone
from tables.partition import Tables
from tables.person import UserRow


def in_audience(
    audience: Audience, user: UserRow, tables: Tables, arrival: Arrival, now: datetime
) -> bool:
    """Tell whether all that an audience asks for holds for a person."""
    default = arrival.settings
    if audience.users is not None and user.user_id not in audience.users:
        return False
    if audience.locale is not None and user.locale(default.default_locale) != audience.locale:
        return False
    if audience.timezones is not None:
        home = same_zone(user.timezone(default.default_timezone))
        if home not in map(same_zone, audience.timezones):
            return False
    if audience.watched is not None:
        since = now - timedelta(days=audience.watched.days)
        films = {w.film_id for w in tables.watch_history.since(user.user_id, since, now)}
        if not any(_matches(audience, film_id, tables) for film_id in films):
            return False
    if audience.idle_days is not None:
        since = now - timedelta(days=audience.idle_days)
        if tables.watch_history.since(user.user_id, since, now):
            return False
    return True


def _matches(audience: Audience, film_id: str, tables: Tables) -> bool:
    assert audience.watched is not None
    if audience.watched.series_id is not None:
        wanted = audience.watched.series_id
        return film_id == wanted or tables.films.series_of(film_id) == wanted
    film = tables.films.get(film_id)
    return film is not None and audience.watched.genre in film.genres
