"""Things that go on beside a block."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any


class Meanwhile:
    """Runs coroutines beside a block and ends them with it; one that raises ends the block."""

    def __init__(self, *others: Coroutine[Any, Any, None]) -> None:
        self._others = others

    async def __aenter__(self) -> None:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(one) for one in self._others]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, traceback)
