"""A connection on which each command waits for its reply: for servers without PIPELINING."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

import aiosmtplib

from sender.channels import Outcome
from sender.smtp.host import Host
from sender.smtp.opening import Timeouts, Unreachable, told
from sender.smtp.patience import Patience
from sender.smtp.replies import Reply, Stage, classify
from sender.smtp.transaction import (
    CLOSING,
    START_INPUT,
    UNKNOWN_PARAMETERS,
    End,
    HungUp,
    Lost,
    Transaction,
    maybe,
    spoken,
)


class Lockstep:
    """An open connection, used for one mail after the other; see `host.Connection`."""

    def __init__(self, client: aiosmtplib.SMTP, timeouts: Timeouts, host: Host) -> None:
        """Take over a client that has just been opened."""
        assert client.protocol is not None
        self.opened = self.used = monotonic()
        self.mails = 0
        self.usable = True
        self.ready = False
        self._client = client
        self._protocol = client.protocol
        self._timeouts = timeouts
        self._host = host
        self._patience = Patience()
        self._extensions = client.esmtp_extensions
        self._task: asyncio.Task[None] | None = None

    def work(self) -> None:
        """Begin what waits, one mail after the other."""
        mail = self._host.next(self)
        if mail is None:
            self._rest()
        else:
            self._task = asyncio.create_task(self._run(mail))

    async def alive(self) -> bool:
        """Ask the server whether it is still there."""
        try:
            return (await self._command(b"NOOP", "MAIL")).positive
        except Lost:
            return False

    async def quit(self) -> None:
        """Close in good order; a server that does not answer is not waited for."""
        try:
            if self.usable and self._client.is_connected:
                with suppress(aiosmtplib.SMTPException, OSError):
                    await self._patience.wait(self._client.quit(timeout=None), self._timeouts.quit)
        finally:
            self._close()

    def lose(self, why: str) -> None:
        """Wait for nothing any more, and close."""
        self._patience.end(why)
        if self._task is None or self._task.done():
            self._close()

    async def _run(self, first: Transaction) -> None:
        mail: Transaction | None = first
        while mail is not None:
            end: End
            try:
                end = await self._send(mail)
            except Exception as error:
                end = error
            self._host.ended([(mail, end)])
            if not self.usable:
                self._close()
                return
            mail = self._host.next(self)
        self._rest()

    def _rest(self) -> None:
        self.used = monotonic()
        self._host.free(self)

    def _close(self) -> None:
        self.usable = False
        self._client.close()
        self._host.gone(self)

    async def _send(self, mail: Transaction) -> Outcome:
        """Send one mail and return what the server made of it.

        Raises Lost when the connection ended before the server had all of it, Unreachable when
        the server takes no mail from us at all, InvalidMail for one that cannot be written.
        """
        if not self._client.is_connected:
            self.usable = False
            raise Lost("connection lost (at MAIL)")
        said = spoken(mail.envelope, self._extensions)
        if isinstance(said, Outcome):
            return said
        self.mails += 1
        reply = await self._command(said.mail, "MAIL")
        if said.parameters and reply.code in UNKNOWN_PARAMETERS:
            # It offers what it does not do: then without.
            self._extensions = {}
            self.mails -= 1
            return await self._send(mail)
        if not reply.positive:
            return await self._refused(reply, "MAIL")
        reply = await self._command(said.rcpt, "RCPT")
        if not reply.positive:
            return await self._refused(reply, "RCPT")
        reply = await self._command(b"DATA", "DATA")
        if reply.code != START_INPUT:
            if reply.code < 400:
                self.usable = False
                raise Lost(f"{reply.told} (at DATA): not what was asked")
            return await self._refused(reply, "DATA")
        if mail.withdrawn:
            # An end here would send an empty mail.
            self.usable = False
            raise Lost("withdrawn")
        return await self._data(said.content)

    async def _command(self, command: bytes, stage: Stage) -> Reply:
        try:
            response = await self._patience.wait(
                self._protocol.execute_command(command), self._timeouts.command
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            self.usable = False
            raise Lost(f"{told(error)} (at {stage})") from error
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
            return maybe(told(error))
        reply = Reply(response.code, response.message)
        if not reply.final:
            return maybe(reply.told)
        outcome = classify(reply, "end of data")
        if reply.code == CLOSING:
            raise HungUp(outcome)
        self.usable = not (reply.about_server or self._said_more)
        return outcome

    async def _refused(self, reply: Reply, stage: Stage) -> Outcome:
        """Say what a refusal means, and make the connection ready for the next mail."""
        outcome = classify(reply, stage)
        if reply.about_server or not reply.final:
            self.usable = False
            if reply.code == CLOSING:
                raise HungUp(outcome)
            if reply.about_server:
                raise Unreachable(f"{reply.told} (at {stage})")
        else:
            with suppress(Lost):
                self.usable = (await self._command(b"RSET", stage)).positive
        return outcome
