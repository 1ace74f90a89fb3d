"""The whole `python -m dev up`, as a person or a program would run it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.conftest import STOP_LIMIT, Up, eventually

pytestmark = pytest.mark.integration


async def status(url: str) -> int:
    """Return a page's status, 0 when nobody answers."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status
    except aiohttp.ClientError:
        return 0


async def ready(url: str) -> bool:
    return await status(f"{url}/health/ready") == 200


def test_it_says_in_one_line_where_everything_is(stack: Up) -> None:
    line = json.loads(stack.line)
    assert list(line) == [
        *("broker", "redis", "smtp", "streams", "sender", "mailbox"),
        *("api_key", "jwt_secret", "data"),
    ]
    assert line["data"] == str(stack.data)
    assert line["redis"].startswith("redis://127.0.0.1:")


async def test_every_worker_is_ready_when_it_says_so(stack: Up) -> None:
    for url in [*stack.addresses.streams, *stack.addresses.sender]:
        assert await ready(url), url


async def test_the_login_link_on_stderr_opens_the_operators_pages(stack: Up) -> None:
    link = next(line for line in stack.errors.splitlines() if "/login?link=" in line)
    url = link.split()[-1]
    assert urlsplit(url).netloc == urlsplit(stack.addresses.streams[0]).netloc
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(url) as response:
            assert response.status == 200
        base = stack.addresses.streams[0]
        token = url.partition("link=")[2]
        async with session.post(
            f"{base}/login", data={"link": token}, headers={"Origin": base}
        ) as response:
            assert response.status == 200
            assert response.url.path != "/login"


@pytest.mark.parametrize("app", ["streams", "sender"])
async def test_a_killed_worker_is_back_within_a_second_at_the_same_address(
    stack: Up, app: str
) -> None:
    (old,) = stack.pids[app]
    (url,) = getattr(stack.addresses, app)
    os.kill(old, signal.SIGKILL)
    killed = time.monotonic()

    async def replaced() -> bool:
        (new,) = stack.pids[app]
        return new != old and psutil.pid_exists(new)

    await eventually(replaced, 2, 0.01)
    assert time.monotonic() - killed < 1.0
    await eventually(lambda: ready(url), 60)


async def test_it_leaves_nothing_behind(start_up: Callable[..., Up]) -> None:
    up = start_up("--streams", "2")
    family = up.family()
    named = [
        pid for entry in up.pids.values() for pid in ([entry] if type(entry) is int else entry)
    ]
    assert {process.pid for process in family} >= set(named)
    assert len(up.addresses.streams) == 2
    assert up.stop() < STOP_LIMIT
    assert up.process.returncode == 0
    _, alive = psutil.wait_procs(family, timeout=1)
    assert alive == []


async def test_it_leaves_nothing_behind_when_it_is_killed(start_up: Callable[..., Up]) -> None:
    up = start_up()
    family = up.family()
    up.process.kill()
    up.process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
