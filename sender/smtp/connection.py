"""One connection to a mail server, used for one mail after the other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

import aiosmtplib

from sender.channels import Outcome
from sender.smtp.envelope import Envelope, on_the_wire
from sender.smtp.opening import Timeouts, Unreachable, told
from sender.smtp.patience import Patience
from sender.smtp.replies import Reply, Stage, classify
from streams.errors import Undelivered

START_INPUT: Final = 354
# The server does not know what stands behind the address (RFC 5321, 4.1.1.11), though it offered
# it in its EHLO.
UNKNOWN_PARAMETERS: Final = frozenset({501, 504, 555})


class Lost(Undelivered):
    """The connection ended before the server had the mail."""


class Connection:
    """An open connection.

    `mails` is how many were tried on it, `used` when it was last used, `usable` whether another
    may be tried, `hung_up` whether the server has said that it closes it (421).
    """

    def __init__(self, client: aiosmtplib.SMTP, timeouts: Timeouts, patience: Patience) -> None:
        """Take over a client that has just been opened."""
        assert client.protocol is not None
        self._client = client
        self._protocol = client.protocol
        self._timeouts = timeouts
        self._patience = patience
        self._extensions = client.esmtp_extensions
        self.opened = self.used = monotonic()
        self.mails = 0
        self.usable = True
        self.hung_up = False

    async def send(self, envelope: Envelope) -> Outcome:
        """Send one mail and return what the server made of it.

        Raises Lost when the connection ended before the server had all of it, Unreachable when
        the server takes no mail from us at all, InvalidMail for one that cannot be written.
        """
        if not self._client.is_connected:
            raise Lost("connection lost (at MAIL)")
        self.mails += 1
        eightbit = "8bitmime" in self._extensions
        content = on_the_wire(envelope.build(eightbit))
        options = "BODY=8BITMIME" if eightbit else ""
        if "size" in self._extensions:
            limit = self._extensions["size"]
            if limit.isdigit() and 0 < int(limit) < len(content):
                return Outcome("failed", f"{len(content)} bytes are over the server's {limit}")
            options += f" SIZE={len(content)}"
        if envelope.needs_smtputf8:
            if "smtputf8" not in self._extensions:
                return Outcome("failed", "the address needs SMTPUTF8, which the server has not")
            options += " SMTPUTF8"
        mail = f"MAIL FROM:<{envelope.sender}> {options}".rstrip()
        for stage, command in (("MAIL", mail), ("RCPT", f"RCPT TO:<{envelope.recipient}>")):
            reply = await self._command(command.encode(), stage)  # type: ignore[arg-type]
            if stage == "MAIL" and options and reply.code in UNKNOWN_PARAMETERS:
                # It offers what it does not do: then without.
                self._extensions = {}
                return await self.send(envelope)
            if not reply.positive:
                return await self._refused(reply, stage)  # type: ignore[arg-type]
        reply = await self._command(b"DATA", "DATA")
        if reply.code != START_INPUT:
            if reply.code < 400:
                self.usable = False
                raise Lost(f"{reply.told} (at DATA): not what was asked")
            return await self._refused(reply, "DATA")
        outcome = await self._data(content)
        self.used = monotonic()
        return outcome

    async def alive(self) -> bool:
        """Ask the server whether it is still there."""
        try:
            return (await self._command(b"NOOP", "MAIL")).positive
        except Lost:
            return False

    async def quit(self) -> None:
        """Close in good order; a server that does not answer is not waited for."""
        if self.usable and self._client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError):
                await self._patience.wait(self._client.quit(timeout=None), self._timeouts.quit)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.usable = False
        self._client.close()

    async def _command(self, command: bytes, stage: Stage) -> Reply:
        try:
            response = await self._patience.wait(
                self._protocol.execute_command(command), self._timeouts.command
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            self.usable = False
            raise Lost(f"{told(error)} (at {stage})") from error
        except asyncio.CancelledError:
            # Its reply would be taken for the next command's.
            self.usable = False
            raise
        reply = Reply(response.code, response.message)
        if self._said_more:
            self.usable = False
            raise Lost(f"{reply.told} (at {stage}): more than one reply")
        return reply

    @property
    def _said_more(self) -> bool:
        """Whether something came behind a reply: it would be taken for the next command's."""
        return bool(self._protocol._buffer)

    async def _data(self, content: bytes) -> Outcome:
        """Write the mail and wait for the answer that decides; without it nobody knows."""
        # Not aiosmtplib's own DATA: its two regular expressions over the body take longer than
        # all the rest (LIMITS: 530 against 175 us a mail).
        self.usable = False
        try:
            self._protocol.write(content)
            response = await self._patience.wait(
                self._protocol.read_response(), self._timeouts.final
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            return _maybe(told(error))
        reply = Reply(response.code, response.message)
        if not reply.final:
            return _maybe(reply.told)
        self.usable = not (reply.about_server or self._said_more)
        self.hung_up = reply.code == 421
        return classify(reply, "end of data")

    async def _refused(self, reply: Reply, stage: Stage) -> Outcome:
        """Say what a refusal means, and make the connection ready for the next mail."""
        if reply.about_server:
            self.usable = False
            self.hung_up = reply.code == 421
            if not self.hung_up:
                raise Unreachable(f"{reply.told} (at {stage})")
        elif not reply.final:
            self.usable = False
        else:
            try:
                self.usable = (await self._command(b"RSET", stage)).positive
            except Lost:
                self.usable = False
        self.used = monotonic()
        return classify(reply, stage)


def _maybe(why: str) -> Outcome:
    return Outcome("retrying", f"maybe sent: {why} (at end of data)", maybe=True)
