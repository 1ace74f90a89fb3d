"""A person's month: distinct films, hours, genres."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from math import fsum
from typing import Any, NamedTuple

from agents.reminders import say_once
from streams import kinds, topics
from streams.decisions import Arrival, Decision, person_agent, skip
from streams.events import Campaign, MonthlyStatistic
from streams.fields import zone
from tables.films import Films
from tables.months import month_before, month_of, not_kept, oldest_month
from tables.partition import Tables
from tables.person import UserRow
from tables.watch_history import LocalTime, Watched


class Genre(NamedTuple):
    """One genre of a month; a film of three genres counts in each."""

    genre: str
    films: int
    seconds: int


class Month(NamedTuple):
    """A person's local month: distinct films, seconds, genres, longest run of days."""

    month: str
    films: int
    seconds: int
    genres: list[Genre]
    streak: int

    @property
    def top_genre(self) -> str | None:
        """The genre of most films, then of most seconds, then by name."""
        return self.genres[0].genre if self.genres else None


@person_agent(topics.MONTHLY_STATISTIC)
def report(
    event: MonthlyStatistic, user: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Send a person a month, by trigger."""
    yield from monthly_statistic(user, tables, arrival, event.month)


def monthly_statistic(
    user: UserRow,
    tables: Tables,
    arrival: Arrival,
    month: str | None = None,
    due: datetime | None = None,
    campaign: Campaign | None = None,
) -> Iterator[Decision]:
    """Send a person a month once, by trigger or by schedule; by default the last complete one."""
    kind, default = kinds.MONTHLY_STATISTIC, arrival.settings.default_timezone
    if month is None:
        place = zone(user.timezone(default))
        month = month_before(month_of(arrival.now.astimezone(place)))
    oldest = oldest_month(month_of(arrival.now))
    if month < oldest:
        yield skip(user, kind, not_kept(month), arrival)
        return
    if user.said(kind.name, month):
        yield skip(user, kind, f"reported already for {month}", arrival)
        return
    context = month_context(user, month, tables, oldest, default)
    if not context["films"]:
        yield skip(user, kind, f"nothing watched in {month}", arrival)
        return
    yield from say_once(user, kind, month, context, tables, arrival, due, campaign)


def month_context(
    user: UserRow, month: str, tables: Tables, oldest: str, default_timezone: str
) -> dict[str, Any]:
    """Return what the mail says of a month; `oldest` is the first one that is kept whole."""
    this = month_report(user, month, tables, default_timezone)
    context: dict[str, Any] = {
        "username": user.username,
        "month": month,
        "films": this.films,
        "seconds": this.seconds,
        "genres": [genre._asdict() for genre in this.genres],
        "top_genre": this.top_genre,
        "streak": this.streak,
        "previous": None,
    }
    before = month_before(month)
    watches = tables.watch_history.of_month(user, before, default_timezone)
    if watches and before >= oldest:
        context["previous"] = {
            "month": before,
            "films": len({watch.film_id for watch in watches}),
            "seconds": total(watch.seconds for watch in watches),
        }
    return context


def month_report(user: UserRow, month: str, tables: Tables, default_timezone: str) -> Month:
    """Return the numbers of a person's local month, joined with the films as they are known now."""
    watches = tables.watch_history.of_month(user, month, default_timezone)
    local = LocalTime(user, default_timezone)
    return Month(
        month=month,
        films=len({watch.film_id for watch in watches}),
        seconds=total(watch.seconds for watch in watches),
        genres=genres_of(watches, tables.films),
        streak=longest_run({local.of(watch.at).date() for watch in watches}),
    )


def genres_of(watches: Sequence[Watched], films: Films) -> list[Genre]:
    """Return the genres by distinct films, then seconds, then name."""
    seen: dict[str, set[str]] = {}
    seconds: dict[str, list[float]] = {}
    for watch in watches:
        film = films.get(watch.film_id)
        for genre in dict.fromkeys(film.genres) if film else ():
            seen.setdefault(genre, set()).add(watch.film_id)
            seconds.setdefault(genre, []).append(watch.seconds)
    found = [Genre(name, len(ids), total(seconds[name])) for name, ids in seen.items()]
    return sorted(found, key=lambda genre: (-genre.films, -genre.seconds, genre.genre))


def total(seconds: Iterable[float]) -> int:
    """Return the sum in whole seconds, the same in whatever order the watches came."""
    return round(fsum(seconds))


def longest_run(days: set[date]) -> int:
    """Return the number of days of the longest run without a gap."""
    longest = 0
    for day in days:
        if day - timedelta(days=1) in days:
            continue
        length = 1
        while day + timedelta(days=length) in days:
            length += 1
        longest = max(longest, length)
    return longest
