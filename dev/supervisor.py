"""Keeps children running: starts again what ends, says why, stops all in order."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from dev.children import Child
from dev.errors import NotReady, StackError

# Seconds from a death to the next start, when the last start was not long ago: one that cannot
# start must not burn a core, and the contract promises a new one within a second.
BACKOFF: Final = 0.5
SETTLED: Final = 5.0
# One that ends so often before it was ever ready will not become so: a wrong setting, usually.
EARLY_DEATHS: Final = 3
PROBE_PAUSE: Final = 0.05


def say(text: str) -> None:
    """Tell the person at the terminal; stdout is for programs."""
    print(text, file=sys.stderr, flush=True)


class Supervised:
    """A child that is started again when it ends, unless it is `vital`: then all is over."""

    def __init__(self, child: Child, *, vital: bool, changed: Callable[[], None]) -> None:
        self.child = child
        self.deaths = 0
        self.ready = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._vital = vital
        self._changed = changed
        self._stopping = False
        # A stop must not come between the decision to start again and the process.
        self._starting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the child and watch it from now on."""
        await self.child.start()
        self._changed()
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            started = time.monotonic()
            status = await self.child.wait()
            if self._stopping:
                return
            self.deaths += 1
            # What it has left in its group holds its port.
            await self.child.stop(0)
            ended = f"{self.child.name} ended by itself (status {status}, see {self.child.log})"
            if self._vital or (not self.ready and self.deaths >= EARLY_DEATHS):
                self._fail(StackError(f"{ended}:\n{self.child.tail()}"))
                return
            say(f"{ended}: started again. Its last words: {self.child.tail(1)}")
            if time.monotonic() - started < SETTLED:
                await asyncio.sleep(BACKOFF)
            async with self._starting:
                if self._stopping:
                    return
                await self.child.start()
            self._changed()

    def _fail(self, error: StackError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def wait_ready(self, probe: Callable[[], Awaitable[bool]], limit: float) -> None:
        """Wait until the probe says yes.

        Raises NotReady after `limit` seconds, StackError when the child keeps ending.
        """
        deadline = time.monotonic() + limit
        while not await probe():
            if self.failed.done():
                self.failed.result()
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{self.child.name} is not ready after {limit:.0f} s "
                    f"(see {self.child.log}):\n{self.child.tail()}"
                )
            await asyncio.sleep(PROBE_PAUSE)
        self.ready = True

    async def stop(self, grace: float) -> None:
        """End the child, and start it no more."""
        self._stopping = True
        async with self._starting:
            await self.child.stop(grace)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self.failed.done():
            # Asked for or not: a failure that nobody waited for any more is no news.
            self.failed.exception()
        else:
            self.failed.cancel()


class Supervisor:
    """All children of a stack, in stages: what is started last is stopped first."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._stages: list[tuple[float, list[Supervised]]] = []

    def stage(self, children: Sequence[tuple[Child, bool]], *, grace: float) -> list[Supervised]:
        """Take over children, each with whether it is vital.

        When all stops, each gets `grace` seconds to end by itself.
        """
        kept = [Supervised(child, vital=vital, changed=self._changed) for child, vital in children]
        self._stages.append((grace, kept))
        return kept

    async def failed(self) -> None:
        """Wait for a failure that no new start mends, and raise it."""
        failures = [kept.failed for _, stage in self._stages for kept in stage]
        done, _ = await asyncio.wait(failures, return_when=asyncio.FIRST_COMPLETED)
        for failure in done:
            failure.result()

    async def stop(self) -> None:
        """Stop all: stage by stage, within a stage at once."""
        while self._stages:
            grace, stage = self._stages.pop()
            await asyncio.gather(*(kept.stop(grace) for kept in stage))
