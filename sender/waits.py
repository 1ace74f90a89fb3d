"""What something waits for at the moment, for /metrics and whoever reads the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from sender.channels import Halted
from streams.errors import RedisUnavailable

# Redis is asked again soon: its restart takes a second or two, and a lane stands still for it.
PATIENCE: Final = 0.2

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Waits:
    """The reasons for which batches wait now."""

    def __init__(self, name: str) -> None:
        """Log under that name."""
        self._name = name
        self._reasons: list[str] = []

    @property
    def reason(self) -> str | None:
        """The oldest of the reasons, None while nothing waits."""
        return self._reasons[0] if self._reasons else None

    @contextmanager
    def on(self, reason: str) -> Iterator[None]:
        """Wait for that; the first to wait says so in the log."""
        if not self._reasons:
            logger.warning("%s waits: %s", self._name, reason)
        self._reasons.append(reason)
        try:
            yield
        finally:
            self._reasons.remove(reason)

    async def for_redis(self, call: Callable[[], Awaitable[T]], halted: Halted) -> T:
        """Call again and again while Redis is away; raises RedisUnavailable once it is halted."""
        try:
            return await call()
        except RedisUnavailable as error:
            # Until it has answered: a call to one that hangs takes seconds, too.
            with self.on(str(error)):
                while not halted():
                    await asyncio.sleep(PATIENCE)
                    with suppress(RedisUnavailable):
                        return await call()
            raise
