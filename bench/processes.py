"""Other processes: what they have used of a core, and those that measure themselves."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import msgspec
import psutil

from dev.children import die_with_parent
from dev.errors import StackError

# Several times what the slowest loop takes beside other work.
LIMIT: Final = 90.0


def cpu_seconds(*pids: int) -> float:
    """Return the CPU time that processes have used, their threads included."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(used.user + used.system for used in times)


async def measured(module: str, **options: object) -> dict[str, Any]:
    """Run a module that measures itself in a process of its own; return what it prints.

    The options are given as one JSON argument. Raises StackError when it prints nothing.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, msgspec.json.encode(options).decode()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(),
    )
    try:
        printed, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    except TimeoutError:
        process.kill()
        _, errors = await process.communicate()
        tail = errors.decode(errors="replace")[-2000:]
        raise StackError(f"{module} {options} took over {LIMIT} s:\n{tail}") from None
    except BaseException:
        process.kill()
        await process.wait()
        raise
    # Faust's worker moves a terminal's cursor first.
    _, brace, line = printed.partition(b"{")
    if process.returncode or not brace:
        tail = errors.decode(errors="replace")[-2000:]
        raise StackError(f"{module} {options} ended with {process.returncode}:\n{tail}")
    found: dict[str, Any] = msgspec.json.decode(brace + line)
    return found
