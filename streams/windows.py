"""When a mail that can wait may go: the delivery window and a person's quiet hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from streams.fields import QuietHours
from streams.settings import Window

# Held mails are spread over so long after the window opens: it does not open with a surge.
SPREAD: Final = timedelta(minutes=5)
# The end of a window or of quiet hours is at most a day away; a skipped day may hide one.
SEARCH_DAYS: Final = 4


def opens(now: datetime, zone: ZoneInfo, window: Window, quiet: QuietHours | None) -> datetime:
    """Return the first instant from now on at which mail may go; `now` itself if it may now.

    Mail may go when the local time lies in the window and not in the quiet hours. Times that do not
    exist on a day (a gap) are taken at the next valid instant, as recurring campaigns are. Where
    window and quiet hours leave no time at all, the window alone counts: never is no answer.
    """

    def open_at(instant: datetime) -> bool:
        local = instant.astimezone(zone).time()
        return local in window and not (quiet is not None and local in quiet)

    if open_at(now):
        return now
    edges = {window.start} if quiet is None else {window.start, time.fromisoformat(quiet.end)}
    found = [at for at in _turns(now, zone, edges) if at > now and open_at(at)]
    if found:
        return min(found)
    return opens(now, zone, window, None) if quiet is not None else now


def _turns(now: datetime, zone: ZoneInfo, edges: Iterable[time]) -> Iterator[datetime]:
    """Yield every instant of the coming days at which the local time comes to an edge.

    It may do so twice on the day the clock is set back, and by the clock's change itself.
    """
    today = now.astimezone(zone).date()
    for days in range(SEARCH_DAYS):
        for edge in edges:
            local = datetime.combine(today + timedelta(days), edge)
            yield at_local(local, zone)
            yield local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    until = now + timedelta(SEARCH_DAYS)
    if until.astimezone(zone).utcoffset() != now.astimezone(zone).utcoffset():
        yield change(now.astimezone(UTC), until.astimezone(UTC), zone)


def at_local(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of a naive local time: the first of two, the next valid one in a gap."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    # In a gap fold=0 reads the time with the offset before it, which lands as far behind the gap as
    # the time lies in it: go back to the first instant of the new offset (PEP 495).
    return change(instant - timedelta(days=2), instant, zone)


def change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant of the offset that holds at `high` and did not at `low`."""
    after = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high.replace(microsecond=0)


def spread(job_id: str) -> timedelta:
    """Return how long after its window's start a held job goes: the same at every try."""
    return SPREAD * (int(job_id[:8], 16) / 0x100000000)
