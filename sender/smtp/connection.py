"""One connection to a mail server: opened by aiosmtplib, used for one mail after the other."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import Final

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from sender.channels import Outcome
from sender.smtp.replies import Reply, Stage, classify
from streams.errors import InvalidMail, Undelivered
from streams.settings import SmtpServer

START_INPUT: Final = 354


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a server, in seconds (RFC 5321, 4.5.3.2).

    A relay of one's own answers commands at once, so those are far below the RFC's minutes: a
    mail that waits is not lost, only later. The last is the RFC's: a client that gives up before
    the server has answered the end of the data will send the mail again.
    """

    connect: float = 15.0
    command: float = 60.0
    final: float = 600.0
    quit: float = 2.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is from and for, ready for the wire, and what builds it (8bit or not)."""

    sender: str
    recipient: str
    needs_smtputf8: bool
    build: Callable[[bool], bytes]


class Unreachable(Undelivered):
    """The server cannot be reached or takes no mail from us: nothing was tried."""


class Lost(Undelivered):
    """The connection ended before the server had the mail."""


class Connection:
    """An open connection.

    `mails` is how many were tried on it, `used` when it was last used, `usable` whether another
    may be tried, `hung_up` whether the server has said that it closes it (421).
    """

    def __init__(self, client: aiosmtplib.SMTP, protocol: SMTPProtocol, timeouts: Timeouts) -> None:
        """Take over a client that has said EHLO, and logged in where that is asked for."""
        self._client = client
        self._protocol = protocol
        self._timeouts = timeouts
        self._extensions = client.esmtp_extensions
        self.opened = self.used = monotonic()
        self.mails = 0
        self.usable = True
        self.hung_up = False

    @classmethod
    async def open(
        cls, server: SmtpServer, name: str, timeouts: Timeouts, tls: ssl.SSLContext
    ) -> Connection:
        """Connect, secure the connection as the setting says, log in.

        Raises Unreachable, with the stage and the cause.
        """
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=False,
            tls_context=tls,
            local_hostname=name,
            timeout=timeouts.connect,
        )
        stage: Stage = "connect"
        try:
            await client.connect()
            stage = "EHLO"
            await _hello(client)
            encrypted = server.tls
            if not encrypted and server.starttls != "never":
                stage = "STARTTLS"
                if client.supports_extension("starttls"):
                    await client.starttls()
                    encrypted = True
                    await _hello(client)
                elif server.starttls == "require":
                    raise aiosmtplib.SMTPException("the server offers no STARTTLS")
            if server.user is not None:
                stage = "AUTH"
                if not encrypted and server.starttls == "auto" and not _is_local(server.host):
                    raise aiosmtplib.SMTPException(
                        "no password is sent unencrypted; ?starttls=never sends it all the same"
                    )
                await client.login(server.user, server.password or "")
            if client.protocol is None:
                raise aiosmtplib.SMTPServerDisconnected("Connection lost")
            return cls(client, client.protocol, timeouts)
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise Unreachable(f"{server.host}:{server.port}: {stage}: {_told(error)}") from error
        except BaseException:
            client.close()
            raise

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
                await self._client.quit(timeout=self._timeouts.quit)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.usable = False
        self._client.close()

    async def _command(self, command: bytes, stage: Stage) -> Reply:
        try:
            response = await self._protocol.execute_command(command, timeout=self._timeouts.command)
        except (aiosmtplib.SMTPException, OSError) as error:
            self.usable = False
            raise Lost(f"{_told(error)} (at {stage})") from error
        except asyncio.CancelledError:
            # Its reply would be taken for the next command's.
            self.usable = False
            raise
        return Reply(response.code, response.message)

    async def _data(self, content: bytes) -> Outcome:
        """Write the mail and wait for the answer that decides; without it nobody knows."""
        # Not aiosmtplib's own DATA: its two regular expressions over the body take longer than
        # all the rest (LIMITS: 530 against 175 us a mail).
        self.usable = False
        try:
            self._protocol.write(content)
            response = await self._protocol.read_response(timeout=self._timeouts.final)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _maybe(_told(error))
        reply = Reply(response.code, response.message)
        if reply.code < 200 or 300 <= reply.code < 400:
            return _maybe(reply.told)
        self.usable = not reply.about_server
        self.hung_up = reply.code == 421
        return classify(reply, "end of data")

    async def _refused(self, reply: Reply, stage: Stage) -> Outcome:
        """Say what a refusal means, and make the connection ready for the next mail."""
        if reply.about_server:
            self.usable = False
            self.hung_up = reply.code == 421
            if not self.hung_up:
                raise Unreachable(f"{reply.told} (at {stage})")
        elif not (200 <= reply.code < 300 or 400 <= reply.code < 600):
            self.usable = False
        else:
            try:
                self.usable = (await self._command(b"RSET", stage)).positive
            except Lost:
                self.usable = False
        self.used = monotonic()
        return classify(reply, stage)


def on_the_wire(content: bytes) -> bytes:
    """Return a mail as DATA carries it: dots stuffed, ended (RFC 5321, 4.5.2).

    Raises InvalidMail for a bare CR or LF: what one server takes for the end of a mail and another
    does not lets a second mail hide in the first (SMTP smuggling).
    """
    lines = content.count(b"\r\n")
    if content.count(b"\n") != lines or content.count(b"\r") != lines:
        raise InvalidMail("a mail holds a bare CR or LF: end its lines with CRLF")
    content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")


def _maybe(why: str) -> Outcome:
    return Outcome("retrying", f"maybe sent: {why} (at end of data)", maybe=True)


async def _hello(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code == 421 or not client.is_connected:
            raise
        await client.helo()


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _told(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Reply(error.code, str(error.message)).told
    return Reply(0, str(error) or type(error).__name__).told.removeprefix("0 ")
