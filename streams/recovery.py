"""Faust's recovery of tables, whose end is the worker's end.

Faust gives a request of a recovery 30 s. mode reports a wait that ran out of time as one that was
stopped, and the recovery's task then returns as if the worker was stopping. The worker stays: it
reads nothing, leaves its group after `broker_max_poll_interval`, never comes back, and says no more
than "tables: being recovered". Seen when Kafka was away for a minute while a worker recovered.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from faust.tables import manager
from faust.tables import recovery as faust_recovery

from streams.outgoing import give_up


class Recovery(faust_recovery.Recovery):
    """Ends the worker when one of its tasks ends before the worker stops."""

    fatal = staticmethod(give_up)

    async def _execute_task(self, task: Awaitable[Any]) -> None:
        await super()._execute_task(task)
        if not self.should_stop:
            self.fatal("the recovery of the tables has ended: Kafka did not answer in time")


class TableManager(manager.TableManager):
    """Faust's tables with our recovery."""

    @property
    def recovery(self) -> Recovery:
        """Recovery service used by this table manager."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        assert isinstance(self._recovery, Recovery)
        return self._recovery
