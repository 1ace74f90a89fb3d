"""How a connection to a mail server is opened: connect, EHLO, encryption, login (aiosmtplib)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from ipaddress import ip_address

import aiosmtplib

from sender.smtp.replies import Reply, Stage
from streams.errors import Undelivered
from streams.settings import SmtpServer


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


class Unreachable(Undelivered):
    """The server cannot be reached or takes no mail from us: nothing was tried."""


async def open_client(
    server: SmtpServer, name: str, timeouts: Timeouts, tls: ssl.SSLContext
) -> aiosmtplib.SMTP:
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
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        return client
    except (aiosmtplib.SMTPException, OSError) as error:
        client.close()
        raise Unreachable(f"{server.host}:{server.port}: {stage}: {told(error)}") from error
    except BaseException:
        client.close()
        raise


def told(error: Exception) -> str:
    """Return what an error says, on one line and without addresses."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Reply(error.code, str(error.message)).told
    return Reply(0, str(error) or type(error).__name__).told.removeprefix("0 ")


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
