from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from dev.children import Child
from dev.errors import NotReady, StackError
from dev.supervisor import Supervised, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def python(name: str, code: str, folder: Path) -> Child:
    return Child(name, [sys.executable, "-c", code], folder / f"{name}.log")


@asynccontextmanager
async def supervised(*children: Child, vital: bool = False) -> AsyncIterator[list[Supervised]]:
    supervisor = Supervisor(lambda: None)
    kept = supervisor.stage([(child, vital) for child in children], grace=1)
    for one in kept:
        await one.start()
    try:
        yield kept
    finally:
        await supervisor.stop()


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def test_a_child_that_is_killed_runs_again_within_a_second(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEP, tmp_path / "log")
    async with supervised(child) as (kept,):
        await kept.wait_ready(yes, 1)
        for _ in range(3):
            old = child.pid
            assert old is not None
            os.kill(old, signal.SIGKILL)
            killed = time.monotonic()
            while child.pid == old or not child.running:
                await asyncio.sleep(0.01)
            assert time.monotonic() - killed < 1.0


async def test_a_child_that_cannot_start_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    child = python("broken", "raise SystemExit('CINEMA_BROKER: no such thing')", tmp_path)
    async with supervised(child) as (kept,):
        with pytest.raises(StackError, match="CINEMA_BROKER: no such thing"):
            await kept.wait_ready(no, 20)


async def test_a_child_that_is_never_ready_is_named(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEP, tmp_path / "log")
    async with supervised(child) as (kept,):
        with pytest.raises(NotReady, match="sleeper is not ready after 0 s"):
            await kept.wait_ready(no, 0.2)


async def test_the_end_of_a_vital_child_ends_the_stack(tmp_path: Path) -> None:
    child = Child("broker", SLEEP, tmp_path / "log")
    supervisor = Supervisor(lambda: None)
    (kept,) = supervisor.stage([(child, True)], grace=1)
    await kept.start()
    await kept.wait_ready(yes, 1)
    child.signal(signal.SIGKILL)
    with pytest.raises(StackError, match="broker ended by itself"):
        await asyncio.wait_for(supervisor.failed(), 5)
    await supervisor.stop()


async def test_a_child_that_ignores_the_signal_is_ended_after_its_grace(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    child = python("deaf", code, tmp_path)
    await child.start()
    while "deaf" not in child.tail():
        await asyncio.sleep(0.01)
    started = time.monotonic()
    await child.stop(0.5)
    assert 0.5 <= time.monotonic() - started < 2
    assert not child.running


async def test_a_stopped_child_ends_too(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEP, tmp_path / "log")
    await child.start()
    child.signal(signal.SIGSTOP)
    started = time.monotonic()
    await child.stop(5)
    assert time.monotonic() - started < 3


async def test_what_a_child_has_started_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    child = python("parent", code, tmp_path)
    await child.start()
    while not (text := child.tail()):
        await asyncio.sleep(0.01)
    await child.stop(1)
    await gone(int(text))


SUPERVISED = f"""
from dev.children import Child
child = Child("sleeper", {SLEEP!r}, folder / "log")
"""
# It looks for its broker for longer than the test lasts.
TESTS_OWN = """
from tests.worker import Worker
child = Worker("streams.app", folder, BROKER="kafka://127.0.0.1:9")
"""


@pytest.mark.parametrize("made", [SUPERVISED, TESTS_OWN], ids=["a child", "a test's worker"])
async def test_what_was_started_ends_with_whoever_is_killed(tmp_path: Path, made: str) -> None:
    code = f"""
import asyncio, pathlib
folder = pathlib.Path({str(tmp_path)!r})
{made}
async def main():
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    await parent.wait()
    await gone(pid)


async def gone(pid: int) -> None:
    """Wait until a process is no more, or only waits to be buried by whoever adopted it."""
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{pid} still runs"
        await asyncio.sleep(0.02)
