"""What benchmarks stand on: brokers and whole stacks in folders of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from bench.figures import say
from dev import services
from dev.errors import StackError
from dev.services import EMBEDDED, KAFKA, Service
from dev.stack import Options, Stack
from streams.settings import PREFIX

START_LIMIT: Final = 60.0
GRACE: Final = 6.0
SMTP: Final = f"{PREFIX}SMTP"


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """Run a service for as long as the context lasts."""
    await service.child.start()
    try:
        async with asyncio.timeout(START_LIMIT):
            while not await service.ready():
                if not service.child.running:
                    raise StackError(f"{service.child.name} ended:\n{service.child.tail()}")
                await asyncio.sleep(0.05)
        yield service
    finally:
        await service.child.stop(GRACE)


async def brokers(benchmark: str) -> list[str]:
    """Return the kinds of broker that this machine can run, Apache Kafka first."""
    with TemporaryDirectory(prefix="bench-") as folder:
        try:
            await services.broker(KAFKA, Path(folder))
        except StackError as error:
            say(f"{benchmark} on Apache Kafka is skipped: {error}")
            return [EMBEDDED]
    return [KAFKA, EMBEDDED]


@asynccontextmanager
async def broker(kind: str) -> AsyncIterator[str]:
    """Run a broker and give the setting that names it."""
    with TemporaryDirectory(prefix="bench-") as folder:
        async with running(await services.broker(kind, Path(folder))) as service:
            scheme = "embedded" if kind == EMBEDDED else "kafka"
            yield f"{scheme}://{service.address}"


@asynccontextmanager
async def stack(kind: str, *, smtp: str | None = None, **options: Any) -> AsyncIterator[Stack]:
    """Run a whole stack, with a mailbox of its own or the mail server at that URL."""
    before = os.environ.get(SMTP)
    if smtp is not None:
        # As `dev up --no-smtp` is told: by the caller's environment.
        os.environ[SMTP] = smtp
    try:
        with TemporaryDirectory(prefix="bench-") as folder:
            data = Path(folder)
            chosen = Options(broker=kind, smtp=smtp is None, data=data, **options)
            async with Stack(chosen) as started:
                yield started
    finally:
        if before is None:
            os.environ.pop(SMTP, None)
        else:
            os.environ[SMTP] = before


def pids(stack: Stack) -> dict[str, Any]:
    """Return what the stack's pids.json says now."""
    found: dict[str, Any] = msgspec.json.decode((stack.folder.path / "pids.json").read_bytes())
    return found
