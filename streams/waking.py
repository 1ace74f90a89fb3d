"""Once a second each partition looks whether work waits: where time stands still nothing else asks.

On the wall clock its ticks do. With CLOCK=topic a walk that a kill broke off, or one that waits for
the sender, would else stand until somebody's next event.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from mode import Service

INTERVAL: Final = 1.0


class Waker(Service):
    """Wakes the tasks of those partitions that are here by then."""

    def __init__(
        self,
        wake: Callable[[Hashable], None],
        held: Callable[[], Iterable[Hashable]],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._wake = wake
        self._held = held

    @Service.task
    async def _go_round(self) -> None:
        async for _ in self.itertimer(INTERVAL, name="waker"):
            for partition in self._held():
                self._wake(partition)
