"""Mails a second on the wire: one that is built already, through the sender's pool into a sink.

In turn: Postfix's smtp-source (SRC), the pool pipelined, and in lock-step. Then both over a wire
with a round trip of 50 ms.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure, of_rounds
from bench.letters import mail_of, reminder
from bench.processes import measured
from bench.servers import running
from bench.sinks import SESSIONS, blast, program, sink
from dev.children import Child
from dev.ports import HOST, free_port, is_open
from dev.services import Service
from streams.settings import Settings

ROUNDS: Final = 5
MAILS: Final = 8_000
# Connections, templates of nothing: what happens once.
WARM: Final = 500
LOCKSTEP: Final = "&pipelining=never"
#: Seconds of a round trip, and mails that take as long as a round without one.
TRIP: Final = 0.05
FAR_MAILS: Final = {"": 1_500, LOCKSTEP: 400}
FAR_WARM: Final = 64
FAR_ROUNDS: Final = 3


def run() -> Iterator[Figure]:
    """Measure, and yield mails a second and CPU a mail."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    with TemporaryDirectory(prefix="bench-") as folder:
        mail = mail_of(reminder(0, "sample"), Settings(link_secret="the bench's own secret"))
        file = Path(folder) / "mail"
        _write(file, mail)
        async with sink() as (name, address):
            figures = await _near(name, address, file, mail)
            async with _far_away(address, Path(folder)) as far:
                figures += await _far(name, far, file)
    return figures


async def _near(name: str, address: str, file: Path, mail: bytes) -> list[Figure]:
    source = program("smtp-source") if name == "smtp-sink" else None
    limits: list[float] = []
    rates, micros = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for _ in range(ROUNDS):
        if source is not None:
            limits.append(await blast(source, address, mail, MAILS))
        for way in ("", LOCKSTEP):
            # As many connections as smtp-source: two mails each where they are pipelined.
            at_once = SESSIONS if way else 2 * SESSIONS
            rate, used = await _send(address + "?starttls=never" + way, file, MAILS, WARM, at_once)
            rates[way].append(rate)
            micros[way].append(used)
    limit = f"smtp-source -s {SESSIONS} into {name}" if limits else None
    figures = [of_rounds(limit, "1/s", limits)] if limit else []
    size = f"mails of {len(mail) / 1000:.0f} kB, built before, into {name}, {SESSIONS} connections"
    for way, called in (("", "pipelined"), (LOCKSTEP, "lock-step")):
        label = f"{size}, {called}"
        figures.append(of_rounds(label, "1/s", rates[way], limits or None, limit))
        figures.append(of_rounds(f"{label}, CPU a mail", "us", micros[way]))
    return figures


async def _far(name: str, address: str, file: Path) -> list[Figure]:
    rates = defaultdict[str, list[float]](list)
    for _ in range(FAR_ROUNDS):
        for way, mails in FAR_MAILS.items():
            at_once = SESSIONS if way else 2 * SESSIONS
            url = address + "?starttls=never" + way
            rates[way].append((await _send(url, file, mails, FAR_WARM, at_once))[0])
    size = f"round trip of {1000 * TRIP:.0f} ms, {SESSIONS} connections into {name}"
    return [
        of_rounds(f"{size}, lock-step", "1/s", rates[LOCKSTEP]),
        of_rounds(f"{size}, pipelined", "1/s", rates[""], rates[LOCKSTEP], f"{size}, lock-step"),
    ]


async def _send(
    address: str, file: Path, mails: int, warm: int, at_once: int
) -> tuple[float, float]:
    """Return mails a second, and microseconds of CPU a mail."""
    told = await measured(
        "bench.wire_worker",
        url=f"smtp://{address}",
        file=str(file),
        mails=mails,
        warm=warm,
        at_once=at_once,
    )
    return mails / told["seconds"], 1e6 * told["cpu"] / mails


@asynccontextmanager
async def _far_away(address: str, folder: Path) -> AsyncIterator[str]:
    port, target = free_port(), address.rpartition(":")[2]
    command = [sys.executable, "-m", "bench.delay", str(port), target, str(TRIP / 2)]
    child = Child("delay", command, folder / "delay.log")
    async with running(Service(child, f"{HOST}:{port}", partial(is_open, port))) as service:
        yield service.address


def _write(file: Path, mail: bytes) -> None:
    file.write_bytes(mail)
