"""Group commit: what is to be written while a write is under way goes with the next one.

Many partitions note what became of their mails at the same time; a call to Redis for each mail
would cost as much as building it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class GroupCommit(Generic[T]):
    """Writes items in groups, one group at a time."""

    def __init__(self, write: Callable[[list[T]], Awaitable[Any]]) -> None:
        """Write by that."""
        self._write = write
        self._items: list[T] = []
        self._next: asyncio.Task[None] | None = None
        self._under_way: asyncio.Task[None] | None = None

    async def add(self, items: Iterable[T]) -> None:
        """Return when the items are written; raises what the write of their group raised.

        Who is cancelled meanwhile takes nothing back.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._commit(self._under_way))
            self._next.add_done_callback(_heard)
        self._items.extend(items)
        await asyncio.shield(self._next)

    async def _commit(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        items, self._items = self._items, []
        self._under_way, self._next = self._next, None
        await self._write(items)


def _heard(task: asyncio.Task[None]) -> None:
    """Take the error of a group all of whose callers were cancelled."""
    if not task.cancelled():
        task.exception()
