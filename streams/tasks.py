"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any, Final

# A task that lost its cancellation is asked again after so long.
AGAIN_SECONDS: Final = 0.1


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel the tasks and wait until they have ended; what they raise is theirs.

    Before Python 3.12 `asyncio.wait_for` swallows a cancellation that comes when its future has
    just been done (bpo-37658), and redis-py sends every command through it: one `cancel` may be
    lost.
    """
    given = [task for task in tasks if task is not None]
    while left := [task for task in given if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in given:
        if not task.cancelled():
            # Looked at: else asyncio complains about it when it is collected.
            task.exception()
