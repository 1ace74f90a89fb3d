"""What a person's month is, counted from the book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from dev.chaos.wants import Watched
from dev.chaos.world import FILMS


def month_of(watched: Iterable[Watched]) -> dict[str, Any]:
    """Return what `GET /users/{id}/statistics` has to say of these watches of one month."""
    films: defaultdict[str, int] = defaultdict(int)
    for one in watched:
        films[one.film_id] += one.seconds
    genres: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for film_id, seconds in films.items():
        for genre in FILMS[film_id]:
            genres[genre][0] += 1
            genres[genre][1] += seconds
    ranked = sorted((-number, -seconds, name) for name, (number, seconds) in genres.items())
    return {
        "films": len(films),
        "seconds": sum(films.values()),
        "genres": [
            {"genre": name, "films": -number, "seconds": -seconds}
            for number, seconds, name in ranked
        ],
        "top_genre": ranked[0][2] if ranked else None,
    }
