"""`python -m dev chaos`: one run; its summary is one JSON object on stdout."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Final

import msgspec

from dev.chaos.run import Options, run
from dev.supervisor import say
from streams.errors import CinemaError

# What shells make of SIGINT: told to end before there was a result.
INTERRUPTED: Final = 130


def read(arguments: Sequence[str]) -> Options:
    """Read the flags."""
    parser = argparse.ArgumentParser(prog="python -m dev chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long to torment it")
    parser.add_argument("--kills", type=int, help="until so many were killed, not for a time")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--rate", type=float, default=150.0, help="events a second")
    parser.add_argument("--users", type=int, default=0, help="people in the tables before")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a new one; default: data-chaos/…")
    found = parser.parse_args(arguments)
    if found.data is None:
        found.data = Path("data-chaos", f"{datetime.now():%m%d-%H%M%S}-{found.seed}")
    elif found.data.exists() and any(found.data.iterdir()):
        parser.error(f"--data {found.data} is not empty: what lies there would be counted")
    return Options(**vars(found))


def main(arguments: Sequence[str]) -> int:
    """Read the flags and run; the status is 0 when the promise was kept."""
    return asyncio.run(_until_told(read(arguments)))


async def _until_told(options: Options) -> int:
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(run(options))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        try:
            summary = await running
        except CinemaError as error:
            say(f"error: {error}")
            return 1
        print(msgspec.json.encode(summary).decode(), flush=True)
        return 0 if summary.holds else 1
    return INTERRUPTED
