"""Starting: wrong settings, and a broker, Redis or mail server that is not there yet."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from dev.children import die_with_parent
from dev.ports import free_port
from tests.conftest import MailboxAddresses, eventually

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GOOD = {
    "CINEMA_JWT_SECRET": "j" * 32,
    "CINEMA_LINK_SECRET": "l" * 32,
    "CINEMA_API_KEYS": "k" * 32,
}


def environ(**settings: str) -> dict[str, str]:
    """Return the environment with nothing of ours but these settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CINEMA_")}
    named = {f"CINEMA_{name}": value for name, value in settings.items()}
    return {**clean, **GOOD, **named, "PYTHONUNBUFFERED": "1"}


def command(app: str) -> list[str]:
    return [sys.executable, "-m", "faust", "-A", f"{app}.app", "worker", "-l", "warn"]


@pytest.mark.parametrize(
    ("app", "name", "value", "says"),
    [
        ("streams", "PARTITIONS", "many", "whole number"),
        ("sender", "CLOCK", "sundial", "wall, topic"),
        ("streams", "BROKER", "localhost:9092", "kafka://"),
        ("sender", "JWT_SECRET", "hunter2", "shorter than"),
    ],
)
async def test_a_wrong_setting_stops_the_start_in_one_line_that_names_it(
    tmp_path: Path, app: str, name: str, value: str, says: str
) -> None:
    run = await asyncio.to_thread(
        subprocess.run,
        command(app),
        env=environ(**{name: value, "DATA_DIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode != 0
    (line,) = (run.stdout + run.stderr).strip().splitlines()
    assert f"CINEMA_{name}" in line and says in line
    assert name != "JWT_SECRET" or value not in line


async def test_a_missing_secret_stops_the_start(tmp_path: Path) -> None:
    without = environ(DATA_DIR=str(tmp_path))
    del without["CINEMA_LINK_SECRET"]
    run = await asyncio.to_thread(
        subprocess.run, command("sender"), env=without, capture_output=True, text=True, timeout=30
    )
    assert run.returncode != 0
    (line,) = run.stderr.strip().splitlines()
    assert "CINEMA_LINK_SECRET" in line


class Gate:
    """A port that nobody listens on until it is opened; then it leads to an address."""

    def __init__(self, target: str) -> None:
        self.port = free_port()
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Close the port and all that goes through it."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._copy(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def working(app: str, log: Path, **settings: str) -> AsyncIterator[None]:
    """Run a worker for as long as the context lasts."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command(app),
            env=environ(**settings),
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(),
        )
    try:
        yield
        assert process.returncode is None, log
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def readiness(url: str) -> tuple[int, str]:
    """Return the status of /health/ready and what it waits for; 0 when nobody answers."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url}/health/ready") as response,
        ):
            return response.status, await response.text()
    except (aiohttp.ClientError, TimeoutError):
        return 0, ""


@asynccontextmanager
async def asking(url: str, *paths: str) -> AsyncIterator[set[tuple[str, int]]]:
    """Ask for those pages again and again; what is yielded fills with page and status."""
    answers: set[tuple[str, int]] = set()

    async def ask() -> None:
        headers = {"Authorization": f"Bearer {GOOD['CINEMA_API_KEYS']}"}
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                for path in paths:
                    with suppress(aiohttp.ClientError, TimeoutError):
                        async with session.get(url + path) as response:
                            answers.add((path, response.status))
                await asyncio.sleep(0.001)

    task = asyncio.create_task(ask())
    try:
        yield answers
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_worker_that_starts_says_ask_again_and_never_fails(
    tmp_path: Path, embedded_broker: str, redis_url: str, mailbox: MailboxAddresses
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "BROKER": f"embedded://{embedded_broker}",
        "REDIS": redis_url,
        "STREAMS_PORT": str(port),
        "DATA_DIR": str(tmp_path),
        "PARTITIONS": "2",
    }
    paths = ("/users/ann/statistics", "/users/ann/deliveries", "/campaigns", "/status", "/metrics")
    async with asking(url, *paths) as answers, working("streams", tmp_path / "log", **settings):

        async def answers_all() -> bool:
            return {(path, 200) for path in paths} <= answers

        await eventually(answers_all, 60)
    assert {status for _, status in answers} <= {200, 503}


@pytest.mark.parametrize("app", ["streams", "sender"])
async def test_a_worker_waits_for_what_is_not_there_says_so_and_is_ready_when_it_is(
    app: str,
    tmp_path: Path,
    embedded_broker: str,
    redis_url: str,
    mailbox: MailboxAddresses,
) -> None:
    broker, redis = Gate(embedded_broker), Gate(redis_url.split("/")[2])
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}"
    settings = {
        "BROKER": f"embedded://127.0.0.1:{broker.port}",
        "REDIS": f"redis://127.0.0.1:{redis.port}/1",
        # A mail server that is away keeps no worker from being ready: its lane waits.
        "SMTP": f"smtp://127.0.0.1:{free_port()}?starttls=never",
        f"{app.upper()}_PORT": str(port),
        "DATA_DIR": str(tmp_path),
        "PARTITIONS": "2",
    }
    try:
        async with working(app, log, **settings):

            async def waits_for_the_broker() -> bool:
                return "waiting for the broker" in log.read_text()

            await eventually(waits_for_the_broker, 30)
            assert str(broker.port) in log.read_text()
            assert (await readiness(url))[0] != 200
            await broker.open()

            async def waits_for_redis() -> bool:
                status, text = await readiness(url)
                assert status != 200
                return "redis" in text and "broker" not in text and "tables" not in text

            async def is_ready() -> bool:
                return (await readiness(url))[0] == 200

            if app == "streams":
                await eventually(waits_for_redis, 60)
            else:
                await asyncio.sleep(2)
                assert (await readiness(url))[0] != 200
            await redis.open()
            await eventually(is_ready, 60)
    finally:
        await broker.close()
        await redis.close()
