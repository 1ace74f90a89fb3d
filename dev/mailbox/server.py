"""The mailbox as a process: `python -m dev mailbox`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence

import uvloop
from aiohttp import web

from dev.mailbox import api, pages, smtp
from dev.mailbox.store import Mailbox
from dev.ports import HOST


def application(mailbox: Mailbox) -> web.Application:
    """Return the web side of a mailbox."""
    app = web.Application()
    app[api.MAILBOX] = mailbox
    app.add_routes(api.routes)
    app.add_routes(pages.routes)
    return app


async def serve(smtp_port: int, http_port: int, host: str = HOST) -> None:
    """Run a mailbox until the process is told to end."""
    mailbox = Mailbox()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    runner = web.AppRunner(application(mailbox), access_log=None)
    await runner.setup()
    # SMTP first: whoever sees the pages can also send.
    server = await smtp.serve(mailbox, host, smtp_port)
    await web.TCPSite(runner, host, http_port).start()
    await ended.wait()
    server.close()
    await runner.cleanup()


def main(arguments: Sequence[str]) -> int:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(prog="python -m dev mailbox", description=__doc__)
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    # aiosmtpd logs each command at INFO, addresses included.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    uvloop.run(serve(options.smtp_port, options.http_port))
    return 0
