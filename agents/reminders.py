"""Films worth a look: the weekly reminder and tips."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any, Final

from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, person_agent, skip
from streams.events import Campaign, Film, WeeklyReminder
from streams.fields import zone
from streams.jobs import Job
from tables.partition import Tables
from tables.person import UserRow

# As many as one looks through: what fits on a phone's screen or two.
SELECTION: Final = 10


@person_agent(topics.WEEKLY_REMINDER)
def remind(
    event: WeeklyReminder, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Remind a person of this week's films, by trigger."""
    yield from weekly_reminder(user, tables, arrival)


def weekly_reminder(
    user: UserRow,
    tables: Tables,
    arrival: Arrival,
    due: datetime | None = None,
    today: date | None = None,
    campaign: Campaign | None = None,
) -> Iterator[Decision]:
    """Remind a person once in the local ISO week, by trigger or by schedule."""
    kind = kinds.WEEKLY_REMINDER
    if today is None:
        place = zone(user.timezone(arrival.settings.default_timezone))
        today = arrival.now.astimezone(place).date()
    week = week_of(today)
    if user.said(kind.name, week):
        yield skip(user, kind, f"reminded already in {week}", arrival)
        return
    films = selection(user.user_id, today, tables)
    if not films:
        yield skip(user, kind, "no film that is not watched yet", arrival)
        return
    context = {"username": user.username, "week": week, "films": films}
    yield from say_once(user, kind, week, context, tables, arrival, due, campaign)


def say_once(
    user: UserRow,
    kind: kinds.Kind,
    occasion: str,
    context: dict[str, Any],
    tables: Tables,
    arrival: Arrival,
    due: datetime | None,
    campaign: Campaign | None,
) -> Iterator[Decision]:
    """Notify, and mark the occasion if anything is sent: what was skipped may still be said."""
    template = None
    if campaign is not None:
        context, template = context | campaign.context, campaign.template
    for decision in notify(user, kind, occasion, context, arrival, due=due, template=template):
        if isinstance(decision, Job) and not user.said(kind.name, occasion):
            tables.users[user.user_id] = user = user.saying(kind.name, occasion)
        yield decision


def week_of(day: date) -> str:
    """Return the ISO week of a day, such as 2026-W47 (ISO 8601)."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"


def selection(user_id: str, today: date, tables: Tables) -> list[dict[str, Any]]:
    """Return up to ten films the person has not watched: last week's first, then the best rated."""
    watched = tables.watch_history.films(user_id)
    films = tables.films.worth_watching(today)
    unseen = (described(film, fresh) for film, fresh in films if film.film_id not in watched)
    return list(islice(unseen, SELECTION))


def described(film: Film, fresh: bool) -> dict[str, Any]:
    """Return what a mail says of a film."""
    return {
        "film_id": film.film_id,
        "title": film.title,
        "url": film.url,
        "genres": film.genres,
        "rating": film.rating,
        "fresh": fresh,
    }


def tip(user_id: str, genre: str | None, today: date, tables: Tables) -> dict[str, Any] | None:
    """Return the best film that the person has not watched, of that genre if one is given."""
    watched = tables.watch_history.films(user_id)
    for film, fresh in tables.films.worth_watching(today):
        if film.film_id not in watched and (genre is None or genre in film.genres):
            return described(film, fresh)
    return None
