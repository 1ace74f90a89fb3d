"""Time in a partition: it passes with the clock's ticks, and what came due on the way is opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from aiokafka import ConsumerRecord

from streams import timetable, walking
from streams.clock import AHEAD, tick_of
from streams.errors import InvalidRecord
from streams.settings import Settings
from tables.partition import Tables

# Rows of a table that one tick forgets at most.
FORGOTTEN: Final = 500
# Walks that a tick opens before they are written: with the longest ids their rows are under 1 MiB.
OPENED: Final = 500


def now_of(tables: Tables) -> datetime | None:
    """Return how late it is in a partition; None before its first tick."""
    tick = tables.counts.book.tick
    return None if tick is None else _instant(tick)


class Passing:
    """Lets time go on in a worker's partitions."""

    def __init__(self, settings: Settings, wall: Callable[[], datetime]) -> None:
        self._settings = settings
        self._wall = wall
        self._timetables: dict[int, timetable.Timetable] = {}

    def take(self, record: ConsumerRecord, tables: Tables) -> bool:
        """Let time go on towards a tick; False if it has not come there and is to be taken again.

        After a pause more may be due than one write holds. A tick of the past does nothing. Raises
        InvalidRecord for one that is ahead of the wall clock where that is the clock.
        """
        tick = tick_of(record.value)
        ahead = self._wall() + AHEAD
        if self._settings.clock == "wall" and tick > ahead:
            raise InvalidRecord(f"a tick of {tick.isoformat()} is over 60 s ahead of the clock")
        book = tables.counts.book
        before = book.tick if book.tick is not None else book.since
        if before is None or tick.timestamp() > before or book.tick is None:
            return self._pass(record.partition, tables, before, tick)
        return True

    def _pass(self, partition: int, tables: Tables, before: float | None, tick: datetime) -> bool:
        known = self._timetables.get(partition)
        if known is None or known.tables is not tables:
            known = self._timetables[partition] = timetable.Timetable(tables)
        start = tick if before is None else _instant(before)
        firings, reached = known.due(start, tick, OPENED)
        for firing in firings:
            walking.open_firing(firing, tables, partition)
        for view in (tables.seen, tables.erased, tables.watch_history):
            view.expire(reached, FORGOTTEN)
        walking.expire(tables, reached, FORGOTTEN)
        tables.counts[""] = tables.counts.book.at_tick(reached.timestamp())
        return reached == tick


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
