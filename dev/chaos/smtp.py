"""A mail server that has bad days, in a process of its own, and writes down what it did.

Its log is the truth about mails: a line is written before the answer is given, so whoever is
killed when, a mail that was taken stands there.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, cast

import msgspec
from aiosmtpd.smtp import SMTP

from dev.chaos import maillog
from dev.chaos.faults import GOOD, Fate, Shares, Stage, throw
from dev.chaos.maillog import Line, Log
from dev.chaos.marks import marks_in
from dev.children import Child
from dev.ports import HOST, free_port, is_open
from dev.services import Service

MESSAGE_ID: Final = re.compile(rb"^Message-ID: <(.*?)@", re.MULTILINE | re.IGNORECASE)
# Longer than the abort of a connection takes to come back: the handler is cancelled by it.
GONE: Final = 60.0


class Dialogue:
    """What aiosmtpd calls for each command of one connection: a fate for each mail."""

    def __init__(self, log: Log, dice: Random, shares: Shares, numbers: Iterator[int]) -> None:
        self._log, self._dice, self._shares, self._numbers = log, dice, shares, numbers
        self._fate: Fate = GOOD

    def unlucky(self, stage: Stage) -> bool:
        """Tell whether this connection ends while it is being opened."""
        if self._dice.random() * 100 >= self._shares.connects:
            return False
        self._log.write(Line(time.time(), "dropped", stage=stage))
        return True

    async def handle_EHLO(
        self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer what a relay offers; hang up on some."""
        if self.unlucky("EHLO"):
            await _hang_up(server)
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_MAIL(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Throw the dice for this mail."""
        self._fate = throw(self._dice, self._shares)
        if (answer := await self.meets("MAIL", server)) is not None:
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Take one recipient."""
        envelope.rcpt_tos.append(address)
        if (answer := await self.meets("RCPT", server)) is not None:
            envelope.rcpt_tos.clear()
            return answer
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        """Take the mail, and write so before saying so."""
        fate, content = self._fate, envelope.content
        if fate.wait:
            await asyncio.sleep(fate.wait)
        found = MESSAGE_ID.search(content)
        line = partial(
            Line,
            to=envelope.rcpt_tos[0],
            message_id=found[1].decode() if found else "",
            marks=marks_in(content),
        )
        if fate.stage == "end of data":
            if fate.reply is not None:
                return await self._refuse(fate.reply, line, server)
            what: Literal["taken", "dropped"] = "taken" if fate.taken else "dropped"
            self._log.write(line(time.time(), what, said=False))
            await _hang_up(server)
        self._log.write(line(time.time(), "taken"))
        return "250 2.0.0 Ok"

    async def meets(self, stage: Stage, server: SMTP) -> str | None:
        """Return the bad answer that this mail meets at that stage, if it does."""
        if self._fate.stage != stage:
            return None
        recipients = server.envelope.rcpt_tos if server.envelope else []
        line = partial(Line, to=recipients[0] if recipients else "", stage=stage)
        if self._fate.reply is not None:
            return await self._refuse(self._fate.reply, line, server)
        self._log.write(line(time.time(), "dropped"))
        await _hang_up(server)
        raise AssertionError("the end of a connection cancels its handler")

    async def _refuse(self, reply: str, line: Callable[..., Line], server: SMTP) -> str:
        number = next(self._numbers)
        self._log.write(line(time.time(), "refused", number=number, code=reply))
        answer = f"{reply} no. {number}"
        if reply.startswith("421"):
            # Who says so closes the channel (RFC 5321, 3.8).
            await server.push(answer)
            await _hang_up(server)
        return answer


async def _hang_up(server: SMTP) -> None:
    cast(asyncio.Transport, server.transport).abort()
    await asyncio.sleep(GONE)


class FaultySMTP(SMTP):
    """aiosmtpd's server, with the two moments that no handler is asked about."""

    def __init__(self, dialogue: Dialogue, **options: Any) -> None:
        super().__init__(dialogue, hostname="localhost", ident="chaos", **options)
        self._dialogue = dialogue

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up on some at once."""
        super().connection_made(transport)
        if self._dialogue.unlucky("connect"):
            cast(asyncio.Transport, transport).abort()

    async def smtp_DATA(self, arg: str) -> None:
        """Refuse some mails before a byte of them has come."""
        if (answer := await self._dialogue.meets("DATA", self)) is None:
            await super().smtp_DATA(arg)
        else:
            await self.push(answer)


def service(data: Path, seed: int, shares: Shares) -> tuple[Service, None]:
    """Return the mail server for a stack; it has no pages."""
    port = free_port()
    command = [sys.executable, "-m", "dev.chaos.smtp", "--port", str(port), "--seed", str(seed)]
    command += ["--log", str(data / maillog.NAME), "--shares", msgspec.json.encode(shares).decode()]
    child = Child("mailbox", command, data / "smtp.log")
    return Service(child, f"{HOST}:{port}", partial(is_open, port)), None


async def serve(port: int, log: Log, seed: int, shares: Shares) -> None:
    """Take mails until the process is told to end."""
    dice, numbers = Random(f"smtp {seed}"), count(1)
    loop = asyncio.get_running_loop()

    def protocol() -> FaultySMTP:
        dialogue = Dialogue(log, dice, shares, numbers)
        return FaultySMTP(dialogue, enable_SMTPUTF8=True, loop=loop)

    async with await loop.create_server(protocol, HOST, port) as server:
        await server.serve_forever()


def main(arguments: Sequence[str]) -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(prog="python -m dev.chaos.smtp", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--shares", type=lambda text: msgspec.json.decode(text, type=Shares))
    options = parser.parse_args(arguments)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    asyncio.run(serve(options.port, Log(options.log), options.seed, options.shares))


if __name__ == "__main__":
    main(sys.argv[1:])
