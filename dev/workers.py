"""The workers: plain Faust, each with its settings in the environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from dev.children import Child
from dev.folder import Secrets
from dev.ports import HOST, free_port
from streams.settings import PREFIX

STREAMS: Final = "streams"
SENDER: Final = "sender"
APPS: Final = (STREAMS, SENDER)
# The port of the contract's curl command.
INTAKE_PORT: Final = 8082
# What links after a confirmation may lead to: this machine, and the names reserved for examples
# (RFC 2606), which the sample events use.
REDIRECT_HOSTS: Final = "localhost,127.0.0.1,example.com,www.example.com,cinema.example"


class Worker(msgspec.Struct):
    """One worker process and where its pages are."""

    child: Child
    url: str

    async def ready(self) -> bool:
        """Tell whether its tables are recovered and its broker and Redis answer."""
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.url}/health/ready") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def settings(
    *,
    broker: str,
    redis: str,
    smtp: str,
    clock: str,
    secrets: Secrets,
    sender_urls: list[str],
    streams_urls: list[str],
) -> dict[str, str]:
    """Return the settings that all workers of a stack share."""
    public = next(iter(sender_urls), f"http://{HOST}")
    origins = [url.replace(HOST, host) for url in sender_urls for host in (HOST, "localhost")]
    values = {
        "BROKER": broker,
        "REDIS": redis,
        "SMTP": smtp,
        "CLOCK": clock,
        "MAIL_FROM": "Cinema <noreply@cinema.example>",
        "PUBLIC_URL": public,
        "CINEMA_URL": f"{public}/viewer",
        "REDIRECT_HOSTS": REDIRECT_HOSTS,
        "ALLOWED_ORIGINS": ",".join(origins),
        "INTAKE_LOOPBACK": "true",
        "WEB_BIND": HOST,
        "JWT_SECRET": secrets.jwt_secret,
        "LINK_SECRET": secrets.link_secret,
        "API_KEYS": secrets.api_key,
    }
    if streams_urls:
        values["STREAMS_URL"] = streams_urls[0]
    return {PREFIX + name: value for name, value in values.items()}


def worker(app: str, number: int, port: int, environ: Mapping[str, str], data: Path) -> Worker:
    """Return the worker of that app and number, not started yet."""
    name = f"{app}-{number}"
    (data / name).mkdir(parents=True, exist_ok=True)
    own = {
        f"{PREFIX}{app.upper()}_PORT": str(port),
        f"{PREFIX}DATA_DIR": str(data / name),
        # Else lines come to the log in blocks of 8 kB, after what they tell of.
        "PYTHONUNBUFFERED": "1",
    }
    command = [
        *(sys.executable, "-m", "faust", "-A", f"{app}.app", "-L", "uvloop", "-q"),
        # Not `warn`: Faust then shows a spinner, for which it sets the root logger to DEBUG.
        *("worker", "-l", "info"),
    ]
    child = Child(name, command, data / f"{name}.log", environ={**environ, **own})
    return Worker(child, url(port))


def ports(numbers: Mapping[str, int]) -> dict[str, list[int]]:
    """Return a port for each worker; the first streams worker gets the curl command's."""
    return {
        app: [
            free_port(INTAKE_PORT if (app, number) == (STREAMS, 0) else None)
            for number in range(numbers[app])
        ]
        for app in APPS
    }


def url(port: int) -> str:
    """Return the address of a worker's pages."""
    return f"http://{HOST}:{port}"
