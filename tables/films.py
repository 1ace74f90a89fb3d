"""The catalogue: every film, read whole by every worker from the compacted topic `films`.

It is the one table that is not by partition, and so has no changelog of its own: the topic is it.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import msgspec

from streams.events import Film

# So long a film is new.
FRESH: Final = timedelta(days=7)
# It is at most three days on Earth at any time; a standstill that is caught up has a few more.
DAYS: Final = 16


class _Entry(msgspec.Struct):
    film: Film
    at: float


class Films:
    """Films by id; of two records of one film the younger holds, whatever partition it lies in."""

    def __init__(self) -> None:
        self._films: dict[str, _Entry] = {}
        self._deleted: dict[str, float] = {}
        self._ranking: list[Film] | None = None
        self._worth: dict[date, list[tuple[Film, bool]]] = {}

    def __len__(self) -> int:
        return len(self._films)

    def get(self, film_id: str) -> Film | None:
        """Return the film, None for one never heard of."""
        entry = self._films.get(film_id)
        return entry.film if entry else None

    def put(self, film: Film, at: float) -> None:
        """Take a film from a record of that time (epoch seconds)."""
        key = film.film_id
        known = self._films.get(key)
        if (known is None or known.at <= at) and self._deleted.get(key, -1.0) <= at:
            self._films[key] = _Entry(film, at)
            self._changed()

    def remove(self, film_id: str, at: float) -> None:
        """Take a film out of the catalogue."""
        known = self._films.get(film_id)
        self._deleted[film_id] = max(at, self._deleted.get(film_id, at))
        if known is not None and known.at <= at:
            del self._films[film_id]
            self._changed()

    def best(self) -> list[Film]:
        """Return all films, the best rated first, by id where ratings are the same."""
        if self._ranking is None:
            films = (entry.film for entry in self._films.values())
            self._ranking = sorted(films, key=lambda film: (-film.rating, film.film_id))
        return self._ranking

    def worth_watching(self, today: date) -> list[tuple[Film, bool]]:
        """Return the films that are out, those of the last seven days first, each with whether.

        The best rated come first among each. Computed once a day and catalogue.
        """
        found = self._worth.get(today)
        if found is None:
            if len(self._worth) >= DAYS:
                self._worth.clear()
            fresh, old = [], []
            for film in self.best():
                released = film.release_date
                if released is None or released <= today - FRESH:
                    old.append((film, False))
                elif released <= today:
                    fresh.append((film, True))
            found = self._worth[today] = fresh + old
        return found

    def series_of(self, film_id: str) -> str | None:
        """Return the series that a film belongs to."""
        film = self.get(film_id)
        return film.series_id if film else None

    def _changed(self) -> None:
        self._ranking = None
        self._worth.clear()
