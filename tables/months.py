"""Months, and how far back they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

# How many complete months are kept beside the one that runs (docs/architecture.md, "Statistics").
MONTHS_KEPT: Final = 24
# No zone is further from UTC than this: a local month lies within its UTC months and a day more.
MAX_OFFSET: Final = timedelta(days=1)


def month_of(at: datetime) -> str:
    """Return the month of a time in its own zone, such as 2026-11."""
    return f"{at.year:04d}-{at.month:02d}"


def month_before(month: str) -> str:
    """Return the month before."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1:04d}-12" if number == 1 else f"{year:04d}-{number - 1:02d}"


def months_back(month: str, count: int) -> Iterator[str]:
    """Yield that month and those before it, `count` in all."""
    for _ in range(count):
        yield month
        month = month_before(month)


def begins(month: str) -> datetime:
    """Return when a month begins in UTC."""
    return datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)


@lru_cache(maxsize=64)
def oldest_month(month: str) -> str:
    """Return the oldest month that is kept in that one; both local, wherever that is."""
    *_, oldest = months_back(month, MONTHS_KEPT + 1)
    return oldest


def kept_since(now: datetime) -> datetime:
    """Return the time from which things are kept, so that every month that is kept is whole.

    In no zone does the oldest one begin before it. It does not depend on anybody's zone: what is
    known of that may still change, and a watch that is gone does not come back.
    """
    return _kept_since(month_of(now.astimezone(UTC)))


@lru_cache(maxsize=64)
def _kept_since(month: str) -> datetime:
    return begins(oldest_month(month)) - MAX_OFFSET


def not_kept(what: str) -> str:
    """Return in words that something is of a month that is not kept any more."""
    return f"{what} is older than the {MONTHS_KEPT} months that are kept"
