"""The order of acknowledgement, which is what loses nothing.

First jobs, skips and dead letters, then the tables' changes, and only then is a batch let go. The
other way round a kill between the two would leave "greeted" in the table and no greeting on the
outbox.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from streams.outgoing import Outgoing
from streams.passing import now_of
from streams.state import State
from streams.work import Work
from tables.partition import Tables

# A tick that changes nothing else is written this often, so that a restart looks back no further.
TICK_KEPT: Final = timedelta(minutes=1)


class Flushing:
    """Writes what a partition's task has in hand; `reach` passes the points of a fault."""

    def __init__(self, state: State, outgoing: Outgoing, reach: Callable[[str], None]) -> None:
        self._state = state
        self._outgoing = outgoing
        self._reach = reach

    async def flush(self, tables: Tables, work: Work, *, lazily: bool = False) -> None:
        """Send, wait, write the tables' changes, wait, and make them the tables' own.

        `lazily`: nothing but time may have changed, which need not be written at once.
        """
        if not work.applied and not work.outputs and not tables.size:
            return
        if said := bool(work.outputs):
            self._reach("decided")
            await self._outgoing.send(work.outputs)
            self._reach("jobs-acknowledged")
        book = tables.counts.book
        # Time that changes nothing else is kept in memory alone: a restart counts it again.
        idle = lazily and not work.outputs and _is_idle(tables)
        tables.counts[""] = work.booked(book)
        tables.keep()
        if not idle or tables.counts.is_old(TICK_KEPT):
            await self._state.write(work.partition, tables, self._outgoing)
            tables.counts.written()
            if said:
                self._reach("changelog-acknowledged")
        tables.merge()


def _is_idle(tables: Tables) -> bool:
    if tables.changed_beside("counts"):
        return False
    # What ends a window must be known after a kill: it may have been told by then, and who joined
    # it in an earlier tick would be told to nobody.
    now = now_of(tables)
    return now is None or not tables.groups.due(now, 1)
