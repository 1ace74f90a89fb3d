"""The cinema that the load is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

ZONES: Final = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "UTC")
GENRES: Final = ("drama", "comedy", "noir", "western", "musical")
#: Genres by film; some have two.
FILMS: Final = {
    f"film-{n}": [GENRES[n % 5], *([GENRES[n % 3]] * (n % 5 != n % 3))] for n in range(30)
}
# Followed from the beginning, and told of episodes while workers are killed.
STEADY: Final = tuple(f"steady-{n}" for n in range(3))
FOLLOWERS: Final = tuple(f"follower-{n}" for n in range(40))
# People to whom a share of everything happens: their browsers stay open all the time.
REGULARS: Final = tuple(f"regular-{n}" for n in range(5))
# Followed by whoever comes along, and told of one episode at the end: that shows every list.
SERIES: Final = tuple(f"series-{n}" for n in range(20))
# Known by their addresses alone.
READERS: Final = tuple(f"reader-{n}@example.net" for n in range(400))
GUESTS: Final = tuple(f"guest-{n}@example.org" for n in range(400))


def months(now: datetime) -> list[str]:
    """Return the two months before this one: nothing in them lies ahead."""
    first = now.astimezone(UTC).replace(day=1)
    last = first - timedelta(days=1)
    before = last.replace(day=1) - timedelta(days=1)
    return [f"{before:%Y-%m}", f"{last:%Y-%m}"]
