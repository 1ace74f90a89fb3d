"""What tests of all packages share: real servers, started once for a whole run.

`--broker kafka` runs the stack on Apache Kafka instead of the embedded broker.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import pytest_asyncio
from hypothesis import settings
from playwright.async_api import Browser
from xdist.scheduler import LoadScopeScheduling

from dev import services
from dev.children import die_with_parent
from dev.services import EMBEDDED, KAFKA, Service
from dev.stack import Addresses
from tests.browser import launched

# Time tells nothing of an example on a machine that does three things at once.
settings.register_profile("cinema", deadline=None, print_blob=True)
settings.load_profile("cinema")

# As long as the supervisor itself may take for services and workers.
READY_LIMIT = 180.0
# The folder whose tests share a stack; those with one of their own lie in `tests/alone`.
SHARED = "tests/integration/"
# The contract's time for `dev up` to end in.
STOP_LIMIT = 15.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--broker", choices=(EMBEDDED, KAFKA), default=EMBEDDED)


class ByStack(LoadScopeScheduling):  # type: ignore[misc]
    """Give each process whole modules, and all that share the stack of a folder to one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return SHARED if path.startswith(SHARED) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByStack:
    """Say what belongs together when tests run side by side."""
    return ByStack(config, log)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """Run a service for as long as the context lasts."""
    await service.child.start()
    try:
        async with asyncio.timeout(60):
            while not await service.ready():
                assert service.child.running, service.child.tail()
                await asyncio.sleep(0.05)
        yield service
    finally:
        await service.child.stop(6)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give the URL of a Redis; a test that needs it empty empties it."""
    folder = tmp_path_factory.mktemp("redis")
    async with running(services.redis(folder, broker="embedded", keeps=False)) as service:
        yield f"redis://{service.address}/0"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give the HOST:PORT of an embedded broker; each test uses topics of its own."""
    data = tmp_path_factory.mktemp("embedded")
    async with running(await services.broker(EMBEDDED, data)) as service:
        yield service.address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give the HOST:PORT of an Apache Kafka, for tests marked `kafka` alone."""
    async with running(await services.broker(KAFKA, tmp_path_factory.mktemp("kafka"))) as service:
        yield service.address


@dataclass(frozen=True)
class MailboxAddresses:
    """Where a mailbox takes mails and where it shows them."""

    smtp: str
    url: str

    @property
    def smtp_port(self) -> int:
        return int(self.smtp.rpartition(":")[2])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mailbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MailboxAddresses]:
    """Give a mailbox; a test that needs it empty empties it."""
    service, url = services.mailbox(tmp_path_factory.mktemp("mailbox"))
    async with running(service):
        yield MailboxAddresses(service.address, url)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Give a browser; a test opens contexts of its own in it."""
    async with launched() as found:
        yield found


class Up:
    """A `python -m dev up` of its own process, as a person would run it."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        command = [sys.executable, "-m", "dev", "up", "--data", str(data), *flags]
        data.mkdir(parents=True, exist_ok=True)
        self._errors = data / "up.stderr"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=die_with_parent(),
            )
        line = self._first_line()
        self.addresses = msgspec.json.decode(line, type=Addresses)
        self.line = line

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_LIMIT
        line = self.process.stdout.readline()
        assert line, f"dev up ended before it was ready: {self.errors}"
        assert time.monotonic() < deadline, f"dev up took over {READY_LIMIT} s: {self.errors}"
        return line

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._errors.read_text(errors="replace")

    @property
    def pids(self) -> dict[str, Any]:
        """What pids.json says now."""
        pids: dict[str, Any] = msgspec.json.decode((self.data / "pids.json").read_bytes())
        return pids

    def family(self) -> list[psutil.Process]:
        """Return every process that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """End it and return how many seconds that took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_LIMIT + 5)
            except subprocess.TimeoutExpired:
                # Its children end with it.
                self.process.kill()
                self.process.wait()
                raise
        return time.monotonic() - started


@pytest.fixture(scope="session")
def broker_kind(request: pytest.FixtureRequest) -> str:
    """Give what the stack of this run stands on: `embedded` or `kafka`."""
    kind: str = request.config.getoption("--broker")
    return kind


@pytest.fixture(scope="session")
def start_up(
    broker_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Up]]:
    """Give a way to start stacks of one's own; all are stopped at the end of the run."""
    started: list[Up] = []

    def start(*flags: str) -> Up:
        data = tmp_path_factory.mktemp("up")
        started.append(Up(data, "--broker", broker_kind, *flags))
        return started[-1]

    yield start
    for up in started:
        up.stop()


@pytest.fixture(scope="session")
def stack(start_up: Callable[..., Up]) -> Up:
    """Give the stack that integration tests share: wall clock, one worker of each."""
    return start_up()


async def eventually(
    condition: Callable[[], Awaitable[object]], limit: float = 20.0, pause: float = 0.05
) -> None:
    """Wait until a condition holds; what it raised or returned last is in the failure."""
    deadline = time.monotonic() + limit
    while not (seen := await condition()):
        assert time.monotonic() < deadline, f"not within {limit} s: {seen!r}"
        await asyncio.sleep(pause)
