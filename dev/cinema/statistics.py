"""Each person's months, counted in sqlite from the simulator's own log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dev.cinema.almanac import month_before
from dev.cinema.facts import Joined, Moved, Watched
from dev.cinema.films import CATALOGUE
from dev.cinema.script import Story
from streams.fields import zone as rules

SCHEMA: Final = """
    CREATE TABLE zones (user_id TEXT, since REAL, zone TEXT);
    CREATE TABLE genres (film_id TEXT, genre TEXT);
    CREATE TABLE watches (user_id TEXT, film_id TEXT, at REAL, seconds INTEGER, told INTEGER);
    CREATE VIEW local AS
        SELECT user_id, film_id, seconds, told, local_day(at, coalesce(
            (SELECT zone FROM zones z WHERE z.user_id = w.user_id AND z.since <= w.at
             ORDER BY since DESC LIMIT 1),
            (SELECT zone FROM zones z WHERE z.user_id = w.user_id ORDER BY since LIMIT 1)
        )) AS day
        FROM watches w;
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A person's month: distinct films, seconds, genres as (name, films, seconds), longest run."""

    films: int
    seconds: int
    genres: tuple[tuple[str, int, int], ...]
    streak: int = 0

    @property
    def top_genre(self) -> str | None:
        """The genre of most films, then most seconds, then by name."""
        return self.genres[0][0] if self.genres else None


@dataclass(frozen=True, slots=True)
class Report:
    """What a monthly mail says: a month and, where anything was watched in it, the one before."""

    this: Month
    before: Month | None

    @property
    def numbers(self) -> tuple[Any, ...]:
        """What the mail's job says, in the order of `seen.py`."""
        this, before = self.this, self.before
        compared = before and (before.films, before.seconds)
        return this.films, this.seconds, this.genres, this.top_genre, this.streak, compared


class Statistics:
    """Counts months; `told` says how much of the story is known: all of the steps up to it."""

    def __init__(self, story: Story) -> None:
        self._base = sqlite3.connect(":memory:")
        self._base.create_function("local_day", 2, _local_day, deterministic=True)
        self._base.executescript(SCHEMA)
        self._base.executemany(
            "INSERT INTO genres VALUES (?, ?)",
            [(film.film_id, genre) for film in CATALOGUE for genre in film.genres],
        )
        self._base.executemany("INSERT INTO zones VALUES (?, ?, ?)", _zones(story))
        self._base.executemany(
            "INSERT INTO watches VALUES (?, ?, ?, ?, ?)",
            [
                (fact.user_id, fact.film_id, fact.at.timestamp(), fact.seconds, fact.step)
                for fact in story.facts
                if isinstance(fact, Watched)
            ],
        )
        # The view asks for a zone for each watch: once is enough.
        self._base.execute("CREATE TABLE months AS SELECT *, substr(day, 1, 7) AS month FROM local")
        self._base.execute("CREATE INDEX of_months ON months (user_id, month)")
        self._base.execute("CREATE INDEX of_genres ON genres (film_id)")

    def of(self, user_id: str, month: str, told: int) -> Month:
        """Return a person's local month as the first `told` steps tell it."""
        which = (user_id, month, told)
        films, seconds = self._base.execute(
            "SELECT count(DISTINCT film_id), coalesce(sum(seconds), 0) FROM months"
            " WHERE user_id = ? AND month = ? AND told <= ?",
            which,
        ).fetchone()
        genres = self._base.execute(
            "SELECT genre, count(DISTINCT film_id) AS films, sum(seconds) AS seconds"
            " FROM months JOIN genres USING (film_id)"
            " WHERE user_id = ? AND month = ? AND told <= ?"
            " GROUP BY genre ORDER BY films DESC, seconds DESC, genre",
            which,
        ).fetchall()
        # Days of one run are as far from each other as their numbers.
        (streak,) = self._base.execute(
            "WITH days AS (SELECT DISTINCT julianday(day) AS day FROM months"
            " WHERE user_id = ? AND month = ? AND told <= ?),"
            " runs AS (SELECT day - row_number() OVER (ORDER BY day) AS run FROM days)"
            " SELECT coalesce(max(length), 0) FROM"
            " (SELECT count(*) AS length FROM runs GROUP BY run)",
            which,
        ).fetchone()
        return Month(films, seconds, tuple(genres), streak)

    def report(self, user_id: str, month: str, told: int) -> Report:
        """Return a month with the one before as the first `told` steps tell them."""
        first = datetime.fromisoformat(f"{month}-01")
        before = self.of(user_id, month_before(first), told)
        return Report(self.of(user_id, month, told), before if before.films else None)

    def months(self) -> list[str]:
        """Return all months in which anybody watched anything."""
        rows = self._base.execute("SELECT DISTINCT month FROM months ORDER BY month")
        return [month for (month,) in rows]


def _local_day(at: float, zone: str) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone(rules(zone)):%Y-%m-%d}"


def _zones(story: Story) -> Iterable[tuple[str, float, str]]:
    for fact in story.facts:
        since = story.span.start(fact.step).timestamp()
        if isinstance(fact, Joined):
            yield fact.user_id, since, story.people[fact.user_id].timezone
        elif isinstance(fact, Moved):
            yield fact.user_id, since, fact.timezone
