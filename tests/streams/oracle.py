"""An oracle of local time: a walk over all minutes of UTC, without a calendar of its own.

Numbers are minutes since 1970, of UTC or of a zone's wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

DAY = 1440
EPOCH = datetime(1970, 1, 1)
# All offsets since 1972 change at a quarter of an hour; `transitions` holds that against the zones.
QUARTER = 15
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)


def minute(at: datetime) -> int:
    """Return the minute of an aware time in UTC, of a naive one on its own clock."""
    seconds = at.timestamp() if at.tzinfo else (at - EPOCH).total_seconds()
    assert seconds % 60 == 0
    return int(seconds) // 60


def walk(zone: ZoneInfo, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield every minute of UTC with the wall clock's minute."""
    offset = 0
    for now in range(start - start % QUARTER, end):
        if now % QUARTER == 0:
            delta = datetime.fromtimestamp(now * 60, zone).utcoffset()
            assert delta is not None
            offset = int(delta.total_seconds()) // 60
        if now >= start:
            yield now, now + offset


def fixed(
    zone: ZoneInfo, start: int, end: int, times: frozenset[int]
) -> dict[int, list[tuple[int, int]]]:
    """Return (wall minute, UTC minute) of each firing of daily local times in (start, end).

    Each fires when the wall clock first reaches or passes it: in a gap all that was jumped over
    fires at once under the name of the first, and what comes a second time does not fire again.
    """
    found: dict[int, list[tuple[int, int]]] = {time: [] for time in times}
    highest: int | None = None
    for now, local in walk(zone, start - DAY, end):
        if highest is None:
            highest = local
        while highest < local:
            highest += 1
            time = highest % DAY
            if time in times and now > start and found[time][-1:] != [(highest - DAY, now)]:
                found[time].append((highest, now))
    return found


def every(zone: ZoneInfo, start: int, end: int, matches: Callable[[int], bool]) -> list[int]:
    """Return each UTC minute in (start, end) whose wall minute matches."""
    return [now for now, local in walk(zone, start, end) if now > start and matches(local)]


@cache
def places() -> list[tuple[ZoneInfo, tuple[datetime, ...]]]:
    """Return tzdata's zones with their changes of clock; of those with the same rules, one."""
    names = files("tzdata").joinpath("zones").read_text("utf-8").split()
    by_file: dict[bytes, ZoneInfo] = {}
    for name in names:
        rules = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
        by_file.setdefault(rules, ZoneInfo.from_file(BytesIO(rules), key=name))
    found: dict[object, tuple[ZoneInfo, tuple[datetime, ...]]] = {}
    for zone in by_file.values():
        changes = transitions(zone)
        offsets = [at.astimezone(zone).utcoffset() for at in (FIRST, *changes)]
        found.setdefault((*changes, *offsets), (zone, changes))
    return list(found.values())


def transitions(zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return when the zone's offset changes from 2024 to 2031."""
    found = []
    at, before = FIRST, FIRST.astimezone(zone).utcoffset()
    while at < LAST:
        following = at + timedelta(days=1)
        after = following.astimezone(zone).utcoffset()
        if after != before:
            quarter = at
            while quarter.astimezone(zone).utcoffset() == before:
                quarter += timedelta(minutes=QUARTER)
            assert (quarter - timedelta(seconds=1)).astimezone(zone).utcoffset() == before
            found.append(quarter)
            before = after
        at = following
    return tuple(found)
