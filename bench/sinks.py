"""Where measured mails end: Postfix's smtp-sink if there is one, else the dev mailbox."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import say
from bench.servers import running
from dev import services
from dev.children import Child
from dev.ports import HOST, free_port, is_open
from dev.services import Service

# Debian puts them where only root's PATH looks.
PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib/postfix"))
BACKLOG: Final = 128
# As LIMITS has it: the sessions of smtp-source, each kept for all its mails.
SESSIONS: Final = 16


def program(name: str) -> str | None:
    """Return a Postfix program's path, None where it is not installed."""
    return shutil.which(name, path=PATH)


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, str]]:
    """Run a server that takes every mail; give its name and HOST:PORT."""
    with TemporaryDirectory(prefix="bench-") as folder:
        path = program("smtp-sink")
        if path is None:
            say("no smtp-sink (apt install postfix): mails go to the dev mailbox, without a limit")
            service, _ = services.mailbox(Path(folder))
        else:
            port = free_port()
            command = [path, *_as_nobody(), f"{HOST}:{port}", str(BACKLOG)]
            child = Child("smtp-sink", command, Path(folder) / "sink.log")
            service = Service(child, f"{HOST}:{port}", partial(is_open, port))
        async with running(service):
            yield service.child.name, service.address


async def blast(path: str, address: str, mail: bytes, count: int) -> float:
    """Send one mail over and over with smtp-source; return mails a second."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "mail"
        file.write_bytes(mail.replace(b"\r\n", b"\n"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        process = await asyncio.create_subprocess_exec(
            *(path, "-s", str(SESSIONS), "-d", "-F", str(file), "-m", str(count)),
            *("-f", "noreply@cinema.example", "-t", "ann@example.com", address),
        )
        await process.wait()
        return count / (loop.time() - started)


def _as_nobody() -> list[str]:
    """Return the flag that it wants when root starts it."""
    return ["-u", "nobody"] if os.geteuid() == 0 else []
