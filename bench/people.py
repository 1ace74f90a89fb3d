"""People as a cinema has them, with three months of films each, as a partition keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Final

import msgspec

from dev.cinema.people import ZONES
from streams.events import User, Watch
from tables.films import Films
from tables.partition import Tables

MONTHS: Final = 3
FILMS_A_MONTH: Final = 30
CATALOGUE: Final = 2_000
NOW: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
# As many as one batch changes.
BATCH: Final = 500


def live(tables: Tables, first: int, number: int) -> Iterator[dict[bytes, bytes | None]]:
    """Let people come and watch, one record after the other; yield what each batch writes."""
    for person in range(first, first + number):
        _live(tables, person)
        if (person + 1 - first) % BATCH == 0 or person + 1 == first + number:
            tables.keep()
            yield dict(tables.changelog())
            tables.merge()


def written(first: int, number: int) -> Iterator[dict[bytes, bytes | None]]:
    """Yield what the changelog holds of people, made by another process: none of it stays here."""
    parts = range(first, first + number, BATCH)
    with get_context("spawn").Pool(1) as pool:
        # One at a time: what lay ready would be counted.
        yield from (pool.apply(_part, (part,)) for part in parts)


def _part(first: int) -> dict[bytes, bytes | None]:
    tables = Tables(Films(), "UTC")
    return {key: value for rows in live(tables, first, BATCH) for key, value in rows.items()}


def _live(tables: Tables, person: int) -> None:
    user_id = f"user-{person:08d}"
    user = User(
        user_id=user_id,
        email=f"given.family.{person}@mail.example",
        username=f"Given Family {person}",
        timezone=ZONES[person % len(ZONES)],
        locale="en",
    )
    row = tables.users.remember(user, NOW, NOW)
    row = msgspec.structs.replace(row, greeted=True, confirmed_at=NOW)
    row = row.firing("weekly_reminder", "2026-11-27T18:00")
    row = row.firing("monthly_statistic", "2026-11-01T10:00")
    for week in ("2026-W46", "2026-W47", "2026-W48"):
        row = row.saying("weekly_reminder", week)
    for month in ("2026-08", "2026-09", "2026-10"):
        row = row.saying("monthly_statistic", month)
    tables.users[user_id] = row
    for number in range(MONTHS * FILMS_A_MONTH):
        back, film = divmod(number, FILMS_A_MONTH)
        at = datetime(2026, 11 - back, 1, tzinfo=UTC) + timedelta(hours=20 + 21 * film)
        film_id = f"film-{(person * 7 + number * 13) % CATALOGUE:05d}"
        tables.watch_history.record(Watch(user_id=user_id, film_id=film_id, seconds=5400.0, at=at))
