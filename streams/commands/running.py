"""How every command runs: times as people write them, progress on stderr, errors of one line."""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from time import monotonic
from typing import Final

from aiokafka.errors import KafkaError

from streams.errors import CinemaError, Retryable
from streams.events import now_utc
from streams.settings import Settings

# sysexits.h: EX_USAGE's place is taken by argparse's own 2.
DONE: Final = 0
#: It ran, and something was refused or does not add up.
WRONG: Final = 1
UNUSABLE: Final = 2
#: Kafka or Redis is away (EX_TEMPFAIL): the same command may go through later.
AWAY: Final = 75
UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
EVERY: Final = 1.0
STATUSES: Final = f"exit status: {DONE} done; {WRONG} something was refused or does not add up; \
{UNUSABLE} wrong arguments or settings; {AWAY} Kafka or Redis is away"


def dispatch(program: str, commands: dict[str, tuple[str, str]], arguments: Sequence[str]) -> int:
    """Run the command that is named first; `commands` gives the module and a line on each."""
    if not arguments or arguments[0] not in commands:
        known = "\n".join(f"  {name:14}{line}" for name, (_, line) in commands.items())
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        out = sys.stdout if asked else sys.stderr
        print(f"usage: {program} COMMAND [--help]\n\n{known}\n\n{STATUSES}", file=out)
        return DONE if asked else UNUSABLE
    return int(import_module(commands[arguments[0]][0]).main(arguments[1:]))


def run(command: Callable[[Settings], Awaitable[int]], needs: Sequence[str] = ()) -> int:
    """Run a command with the settings of the environment; say in one line why it could not."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        return asyncio.run(_run(command, Settings.from_env(needs=needs)))
    except (Retryable, KafkaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return AWAY
    except CinemaError as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `… | head`: whoever read has read enough. Python must not flush into it at its end.
        sys.stderr.close()
        return DONE


async def _run(command: Callable[[Settings], Awaitable[int]], settings: Settings) -> int:
    return await command(settings)


def moment(text: str) -> datetime:
    """Read a time: `2026-11-27`, `2026-11-27T18:00+01:00` (UTC without an offset), or `3d` ago."""
    if match := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return now_utc() - int(match[1]) * UNITS[match[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 2026-11-27, 2026-11-27T18:00+01:00, or 90m, 12h, 3d ago"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def span(text: str) -> timedelta:
    """Read a length of time: `90m`, `12h`, `3d`."""
    match = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time: write 90m, 12h or 3d")
    return int(match[1]) * UNITS[match[2]]


def printable(text: str, also: str = "") -> str:
    """Return text that plays no tricks with a terminal; `also` are marks it may have."""
    return "".join(
        mark if mark.isprintable() or mark in also else ascii(mark)[1:-1] for mark in text
    )


class Meter:
    """Says on stderr how far a reading has come, once a second."""

    def __init__(self) -> None:
        self._last = monotonic()
        self._shown = False

    def __call__(self, topic: str, done: int, total: int) -> None:
        """Show that so many of so many records have been read."""
        live = sys.stderr.isatty()
        if total and monotonic() - self._last >= (EVERY if live else 10 * EVERY):
            self._last, self._shown = monotonic(), True
            line = f"{topic}: {done:,} of {total:,} ({100 * done // total} %)"
            print(f"\r{line:60}" if live else line, end="" if live else "\n", file=sys.stderr)
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown and sys.stderr.isatty():
            print(f"\r{'':60}\r", end="", file=sys.stderr)
