"""A worker process of a test's own: started, asked, stopped and killed as the test wants."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp

from dev.children import TAIL_LINES, die_with_parent
from dev.ports import free_port
from tests.conftest import eventually
from tests.integration.cinema import Gauges

ROOT = Path(__file__).resolve().parents[1]
SECRETS = {
    "CINEMA_JWT_SECRET": "j" * 32,
    "CINEMA_LINK_SECRET": "l" * 32,
    "CINEMA_API_KEYS": "k" * 32,
}


class Worker:
    """One `faust -A APP worker`, its settings given without their prefix."""

    def __init__(self, app: str, data: Path, **settings: object) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.app = app
        self.port = port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = data / "worker.log"
        own = {"DATA_DIR": data, "STREAMS_PORT": port, "SENDER_PORT": port, **settings}
        clean = {name: one for name, one in os.environ.items() if not name.startswith("CINEMA_")}
        self._environ = {
            **clean,
            **SECRETS,
            **{f"CINEMA_{name}": str(value) for name, value in own.items()},
        }
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Start it; it need not be ready."""
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "faust", "-A", self.app, "-L", "uvloop", "-q"),
                *("worker", "-l", "info"),
                env=self._environ,
                cwd=ROOT,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent(),
            )

    async def stop(self) -> float:
        """Stop it with SIGTERM and return how many seconds it took to end."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), 30)
        return time.monotonic() - began

    async def kill(self) -> None:
        """Kill it with -9, if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def ready(self) -> bool:
        """Tell whether it is ready."""
        status, _ = await self._get("/health/ready")
        return status == 200

    async def until_ready(self, limit: float = 60.0) -> None:
        """Wait until it is ready; what it says and last logged is in the failure."""
        try:
            await eventually(self.ready, limit, 0.1)
        except AssertionError:
            ended = None if self.process is None else self.process.returncode
            last = "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            told = await self.waits_for()
            raise AssertionError(
                f"{self.app} not ready within {limit:g} s: exit status {ended}, says {told!r}\n"
                f"{last}"
            ) from None

    async def waits_for(self) -> str:
        """Return what /health/ready says."""
        _, text = await self._get("/health/ready")
        return text

    async def gauges(self) -> Gauges:
        """Return its numbers, none while it does not answer."""
        status, text = await self._get("/metrics")
        return Gauges(text) if status == 200 else Gauges()

    async def _get(self, path: str) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(self.url + path) as response,
            ):
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""
