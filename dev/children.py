"""Processes that write to a log of their own and never outlive whoever started them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

# prctl(2): the signal that the kernel sends a process when its parent ends, however it ends.
PR_SET_PDEATHSIG: Final = 1
# What the last lines of a log are shown for: why a process ended. A traceback fits.
TAIL_LINES: Final = 15


def die_with_parent() -> Callable[[], None] | None:
    """Return what a new process calls (`preexec_fn`) so that a kill -9 of this one ends it too.

    Nothing where the kernel cannot: Linux can. To be started from the main thread: the signal comes
    when the thread that has started the process ends.
    """
    if sys.platform != "linux":
        return None
    assert threading.current_thread() is threading.main_thread()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind


class Child:
    """One process in a group of its own, started as often as it takes."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environ = environ
        self.cwd = cwd
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, also after it has ended; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Tell whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self.environ is None else dict(self.environ),
                cwd=self.cwd,
                # Ctrl-C in a terminal reaches this process alone, which stops the others in order.
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    async def wait(self) -> int:
        """Wait until the process has ended and return its status."""
        assert self._process is not None
        return await self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process and to all it has started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def stop(self, grace: float) -> None:
        """Ask the process to end, and end it when it has not after `grace` seconds."""
        if self.running:
            # One that was stopped (SIGSTOP) would not hear anything else.
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace)
        # Also when it has ended: what it may have started is in its group.
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def tail(self, count: int = TAIL_LINES) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-count:])
