"""A sender worker's pages on a bare aiohttp application, over a Redis of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient, TestServer
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from dev.children import die_with_parent
from sender.inbox import Draft, Inbox
from sender.links import ConfirmLinks, LinkMaker
from sender.render import Renderer
from sender.web import SenderSite, mount
from sender.web.seats import Seats
from streams.errors import BrokerUnavailable
from streams.jobs import Cause, InboxEntry, Job
from streams.limits import Limits
from streams.metrics import Metrics
from streams.records import Output
from streams.revocations import Revocations
from streams.serving import FILLED, connect
from streams.settings import Settings
from tests.sender.web.raw import Raw

SECRET = "a-secret-for-json-web-tokens-of-32-bytes"
KEY = "key-that-may-do-everything"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORIGIN = "https://cinema.example"
SENDER = "Cinema <noreply@cinema.example>"

Client = TestClient[web.Request, web.Application]
Start = Callable[..., Awaitable[Client]]


class RedisServer:
    """A redis-server of our own, which a test may stop and start again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("there is no redis-server on PATH")
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), "--save", "", "--appendonly", "yes"],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),
        )
        with BlockingRedis.from_url(self.url) as probe:
            for _ in range(1000):
                # One that still reads its log says so, as a lost connection.
                with contextlib.suppress(ConnectionError):
                    probe.ping()
                    return
                time.sleep(0.01)
        raise TimeoutError("redis-server does not come up")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture(scope="session")
def redis_of_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def redis(redis_of_pages: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis_of_pages.url)
    await client.flushall()
    await client.set(FILLED, "by the tests")
    yield client
    await client.aclose()


@pytest.fixture
def inbox(redis: Redis) -> Inbox:
    return Inbox(redis)


@dataclass
class Neighbours:
    """What the rest of the application would say and do."""

    written: list[Output] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    now: datetime = NOW
    broker_is_away: bool = False
    hangs: bool = False

    async def produce(self, outputs: list[Output]) -> Sequence[tuple[int, int]]:
        if self.broker_is_away:
            raise BrokerUnavailable("no answer in 5 s")
        start = len(self.written)
        self.written.extend(outputs)
        return [(0, start + i) for i in range(len(outputs))]

    async def waiting(self) -> Sequence[str]:
        return self.waits

    async def streams_now(self) -> Sequence[str]:
        if self.hangs:
            await asyncio.sleep(60)
        return self.streams


@pytest.fixture
def settings(redis_of_pages: RedisServer) -> Settings:
    return Settings(
        api_keys=(KEY, "key-that-may-only-post:intake"),
        jwt_secret=SECRET,
        link_secret="a-secret-for-links-in-mails",
        redis=redis_of_pages.url,
        mail_from=SENDER,
        public_url="https://mail.cinema.example",
        cinema_url="https://cinema.example/",
        redirect_hosts=frozenset({"films.cinema.example"}),
        allowed_origins=frozenset({ORIGIN}),
    )


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """Compile the templates once: none of these tests changes what they see of the settings."""
    return Renderer(Settings(mail_from=SENDER, cinema_url="https://cinema.example/"))


@pytest.fixture
def neighbours() -> Neighbours:
    return Neighbours()


@pytest.fixture
async def start(
    settings: Settings, neighbours: Neighbours, inbox: Inbox, redis: Redis, renderer: Renderer
) -> AsyncIterator[Start]:
    """Start a worker's pages; settings may be changed by keyword, templates be another folder's."""
    clients: list[Client] = []

    async def go(
        port: int | None = None,
        folder: Path | None = None,
        limits: Limits | None = None,
        **changes: Any,
    ) -> Client:
        changed = replace(settings, **changes)
        app = web.Application()
        mount(
            app,
            SenderSite(
                settings=changed,
                metrics=Metrics(),
                produce=neighbours.produce,
                inbox=inbox,
                seats=Seats(redis),
                links=LinkMaker(changed),
                confirm_links=ConfirmLinks(redis, changed),
                revocations=Revocations(redis),
                limits=limits or Limits(redis),
                now=lambda: neighbours.now,
                renderer=Renderer(changed, folder) if folder else renderer,
                streams=neighbours.streams_now,
                waiting=neighbours.waiting,
                paused=list,
            ),
        )
        client: Client = TestClient(TestServer(app, port=port))
        await client.start_server()
        clients.append(client)
        return client

    yield go
    for client in clients:
        await client.close()


@pytest.fixture
async def client(start: Start) -> Client:
    return await start()


@pytest.fixture
def raw(client: Client) -> Iterator[Raw]:
    assert client.server.port is not None
    opened = Raw(client.server.port)
    yield opened
    opened.close()


# -- what tests say in short


def token(user_id: str = "u", seconds: float = 60, **claims: Any) -> str:
    payload = {"sub": user_id, "exp": int(time.time() + seconds)} | claims
    return jwt.encode(payload, SECRET, "HS256")


def draft(number: int) -> Draft:
    return Draft(
        job_id=f"job-{number}",
        kind="activity",
        title="",
        body=f"body {number}",
        url="",
        created_at=NOW,
    )


async def add(inbox: Inbox, *numbers: int, user: str = "u") -> list[InboxEntry]:
    return await inbox.add([(user, draft(number)) for number in numbers])


async def hello(client: Client, user: str = "u", **first: Any) -> ClientWebSocketResponse:
    """Open a socket and say who is there."""
    opened = await client.ws_connect("/ws")
    await opened.send_json({"token": token(user), **first})
    return opened


async def frame(opened: ClientWebSocketResponse, kind: str | None = None) -> dict[str, Any]:
    """Return the next frame, or the next one of that type."""
    while True:
        found: dict[str, Any] = json.loads(await opened.receive_str(timeout=5))
        if kind in (None, found["type"]):
            return found


async def ended(opened: ClientWebSocketResponse, seconds: float = 5) -> int | None:
    """Wait until the socket is closed, and return with what code."""
    async with asyncio.timeout(seconds):
        async for _ in opened:
            pass
    return opened.close_code


def welcome(number: int = 1, redirect: str | None = None) -> Job:
    return Job(
        job_id=f"{number:032x}",
        user_id="u",
        channel="email",
        kind="welcome",
        template="welcome",
        locale="en",
        timezone="UTC",
        to="ann@cinema.example",
        context={"username": "Ann", "redirect": redirect},
        created_at=NOW,
        expires_at=None,
        attempt=1,
        cause=Cause("registration", 0, 1),
    )
