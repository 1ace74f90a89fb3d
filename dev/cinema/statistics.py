"""Each person's months, counted in sqlite from the simulator's own log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dev.cinema.facts import Joined, Moved, Watched
from dev.cinema.films import CATALOGUE
from dev.cinema.script import Story
from streams.fields import zone as rules

SCHEMA: Final = """
    CREATE TABLE zones (user_id TEXT, since REAL, zone TEXT);
    CREATE TABLE genres (film_id TEXT, genre TEXT);
    CREATE TABLE watches (user_id TEXT, film_id TEXT, at REAL, seconds INTEGER, told INTEGER);
    CREATE VIEW local AS
        SELECT user_id, film_id, seconds, told, local_month(at, coalesce(
            (SELECT zone FROM zones z WHERE z.user_id = w.user_id AND z.since <= w.at
             ORDER BY since DESC LIMIT 1),
            (SELECT zone FROM zones z WHERE z.user_id = w.user_id ORDER BY since LIMIT 1)
        )) AS month
        FROM watches w;
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A person's month: distinct films, seconds, and genres as (name, films, seconds)."""

    films: int
    seconds: int
    genres: tuple[tuple[str, int, int], ...]

    @property
    def top_genre(self) -> str | None:
        """The genre of most films, then most seconds, then by name."""
        return self.genres[0][0] if self.genres else None


class Statistics:
    """Counts months; `told` says how much of the story is known: all of the steps up to it."""

    def __init__(self, story: Story) -> None:
        self._base = sqlite3.connect(":memory:")
        self._base.create_function("local_month", 2, _local_month, deterministic=True)
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
        self._base.execute("CREATE TABLE months AS SELECT * FROM local")
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
        return Month(films, seconds, tuple(genres))

    def months(self) -> list[str]:
        """Return all months in which anybody watched anything."""
        rows = self._base.execute("SELECT DISTINCT month FROM months ORDER BY month")
        return [month for (month,) in rows]


def _local_month(at: float, zone: str) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone(rules(zone)):%Y-%m}"


def _zones(story: Story) -> Iterable[tuple[str, float, str]]:
    for fact in story.facts:
        since = story.span.start(fact.step).timestamp()
        if isinstance(fact, Joined):
            yield fact.user_id, since, story.people[fact.user_id].timezone
        elif isinstance(fact, Moved):
            yield fact.user_id, since, fact.timezone
