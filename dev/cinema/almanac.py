"""When things happen: the span of the story, its steps, and local hours as instants.

Plain zoneinfo and arithmetic, on purpose: the service computes the same with a cron library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from streams.fields import zone as rules

STEP: Final = timedelta(hours=6)
TICK: Final = timedelta(minutes=30)
# So long after its time a campaign may be said: no hour at which one comes due is so near the end
# of the delivery window.
PUNCTUAL: Final = timedelta(hours=2)
# Eight weeks and some days for the audience to arrive before the first Friday.
DAYS: Final = 62
# What people see of the first month before its end, so that there is something to count.
FIRST_MONTH: Final = timedelta(days=8)
# No zone is further from UTC.
MAX_OFFSET: Final = timedelta(hours=14)

FRIDAY: Final = 4
REMINDER_AT: Final = time(18)
STATISTIC_AT: Final = time(10)
WINDOW: Final = (time(9), time(21))


@dataclass(frozen=True, slots=True)
class Span:
    """The story's time, cut into steps of six hours; `end` is on the half hour."""

    begin: datetime
    end: datetime

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return (self.end - self.begin) // STEP

    def start(self, step: int) -> datetime:
        """Return when that step begins: what the clock says while its records come in."""
        return self.begin + step * STEP

    def step_of(self, instant: datetime) -> int:
        """Return the step whose ticks reach that instant; a step's end belongs to it."""
        return -((self.begin - instant) // STEP) - 1

    def ticks(self, step: int) -> Iterator[datetime]:
        """Yield the step's twelve ticks; the last is the next one's beginning."""
        for number in range(1, STEP // TICK + 1):
            yield self.start(step) + number * TICK


def span(end: datetime) -> Span:
    """Return the story's span: it ends at the half hour before `end`.

    It has eight Fridays and the ends of two months, each long enough past for every zone.
    """
    end = end.astimezone(UTC)
    end = end.replace(minute=end.minute // 30 * 30, second=0, microsecond=0)
    latest = end - MAX_OFFSET - timedelta(hours=STATISTIC_AT.hour)
    second = datetime(latest.year, latest.month, 1, tzinfo=UTC)
    first = (second - timedelta(days=1)).replace(day=1)
    days = max(timedelta(days=DAYS), end - (first - FIRST_MONTH))
    return Span(end - -(-days // STEP) * STEP, end)


def instant(local: datetime, zone: str) -> datetime:
    """Return when a naive local time comes in a zone; the first time where it comes twice."""
    return local.replace(tzinfo=rules(zone), fold=0).astimezone(UTC)


def fridays(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the naive local times of the weekly reminder that may lie between, in any zone."""
    for day in _days(begin, end):
        if day.weekday() == FRIDAY:
            yield datetime.combine(day, REMINDER_AT)


def firsts(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the naive local times of the monthly statistics that may lie between, in any zone."""
    for day in _days(begin, end):
        if day.day == 1:
            yield datetime.combine(day, STATISTIC_AT)


def _days(begin: datetime, end: datetime) -> Iterator[date]:
    day = (begin - MAX_OFFSET).date()
    while day <= (end + MAX_OFFSET).date():
        yield day
        day += timedelta(days=1)


def week(local: datetime) -> str:
    """Return the ISO week of a local time, such as 2026-W47."""
    year, number, _ = local.isocalendar()
    return f"{year:04d}-W{number:02d}"


def month_before(local: datetime) -> str:
    """Return the last month that was complete at that local time, such as 2026-10."""
    return f"{local.replace(day=1) - timedelta(days=1):%Y-%m}"
