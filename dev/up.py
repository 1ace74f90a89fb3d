"""`python -m dev up`: a stack in the foreground, until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dev.services import EMBEDDED, KAFKA
from dev.stack import Options, Stack
from dev.supervisor import say
from streams.errors import CinemaError
from streams.web import login_link


def read(arguments: Sequence[str]) -> Options:
    """Read the flags; ends the program with a message for a wrong one."""
    parser = argparse.ArgumentParser(
        prog="python -m dev up", description="Run the whole stack in the foreground."
    )
    parser.add_argument(
        "--broker", type=_broker, default=EMBEDDED, help="embedded, kafka, or one that runs"
    )
    parser.add_argument("--clock", choices=("wall", "topic"), default="wall")
    parser.add_argument("--streams", type=_number, default=1, metavar="N", help="worker processes")
    parser.add_argument("--sender", type=_number, default=1, metavar="N", help="worker processes")
    parser.add_argument("--data", type=Path, metavar="DIR", help="default: data, or data-2 …")
    parser.add_argument(
        "--no-smtp", dest="smtp", action="store_false", help="send to CINEMA_SMTP, not a mailbox"
    )
    return Options(**vars(parser.parse_args(arguments)))


def _broker(text: str) -> str:
    if text in (EMBEDDED, KAFKA) or re.fullmatch(r"[^\s:/]+:\d{1,5}", text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is none of embedded, kafka, HOST:PORT")


def _number(text: str) -> int:
    if re.fullmatch(r"[1-9]\d?", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 99")


async def run(options: Options) -> int:
    """Run a stack until a signal comes or it cannot go on; returns the exit status."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    stop = asyncio.create_task(ended.wait())
    up = asyncio.create_task(_up(options))
    await asyncio.wait((stop, up), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    up.cancel()
    try:
        await up
    except asyncio.CancelledError:
        return 0
    except CinemaError as error:
        say(f"error: {error}")
    return 1


async def _up(options: Options) -> None:
    async with Stack(options) as stack:
        print(msgspec.json.encode(stack.addresses).decode(), flush=True)
        link = login_link(stack.settings, stack.addresses.streams[0])
        say(f"log in for an hour: {link}")
        if stack.addresses.mailbox:
            say(f"mails: {stack.addresses.mailbox}")
        say(f"logs: {stack.addresses.data}")
        await stack.failed()


def main(arguments: Sequence[str]) -> int:
    """Read the flags and run."""
    return asyncio.run(run(read(arguments)))
