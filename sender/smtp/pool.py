"""All mail servers, in order of preference: the first that is up takes the mail."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from sender.channels import Outcome
from sender.smtp.envelope import Envelope
from sender.smtp.opening import Timeouts, Unreachable
from sender.smtp.server import Server
from sender.smtp.sessions import resuming
from sender.smtp.transaction import Lost
from streams.errors import SettingsError
from streams.settings import Settings, SmtpServer

logger = logging.getLogger(__name__)

STOPS: Final = "the worker stops"


class Pool:
    """Sends mails over the servers, each with its own connections and circuit."""

    def __init__(
        self,
        servers: Sequence[SmtpServer],
        name: str,
        *,
        size: int,
        timeouts: Timeouts | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare to send `size` mails at once to each server; `name` is what EHLO says.

        Certificates are verified against the system's store, or as `tls` says. Raises SettingsError
        where there is no server.
        """
        if not servers:
            raise SettingsError("CINEMA_SMTP names no server: write smtp://host:port")
        timeouts = timeouts or Timeouts()
        tls = resuming(tls or ssl.create_default_context())
        self.size = size
        self.servers = [Server(server, name, size, timeouts, tls) for server in servers]
        self._over = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Pool:
        """Make a lane's pool: CINEMA_SMTP, and the lane's share of CINEMA_MAILS_IN_FLIGHT.

        EHLO says the host of CINEMA_PUBLIC_URL.
        """
        size = settings.mails_in_flight // len(settings.lanes)
        return cls(settings.smtp, ehlo_name(settings.public_url), size=size)

    @property
    def paused_by(self) -> str | None:
        """Why no mail can be sent now; None while a server's circuit is closed."""
        if any(server.breaker.state == "closed" for server in self.servers):
            return None
        reasons = (f"{server.address} ({server.breaker.reason})" for server in self.servers)
        return "every mail server is away: " + ", ".join(reasons)

    async def send(self, envelope: Envelope) -> Outcome:
        """Send a mail over the first server that takes it.

        Raises Unreachable when nothing was tried: every server is away, or `let_go` was called
        before the server had all of it.
        """
        lost: Lost | None = None
        away = Unreachable(STOPS)
        for server in self.servers:
            if self._over:
                break
            try:
                return await server.send(envelope)
            except Lost as error:
                lost = error
                logger.info("%s: %s", server.address, error)
            except Unreachable as error:
                away = error
        if lost is not None and not self._over:
            return Outcome("retrying", str(lost))
        raise away

    async def ready(self) -> None:
        """Wait until a server may be asked again."""
        # Nobody announces the end of a pause: it is a time.
        while wait := min(  # noqa: ASYNC110
            server.breaker.wait() for server in self.servers
        ):
            await asyncio.sleep(wait)

    def let_go(self) -> None:
        """Wait for no answer any more: a mail whose data was sent is maybe sent, others are not."""
        self._over = True
        for server in self.servers:
            server.let_go(STOPS)

    async def close(self) -> None:
        """Close all connections in good order."""
        await asyncio.gather(*(server.close() for server in self.servers))


def ehlo_name(public_url: str) -> str:
    """Return the name for EHLO: a host, an address literal in brackets (RFC 5321, 4.1.3)."""
    host = urlsplit(public_url).hostname or "localhost"
    try:
        address = ip_address(host)
    except ValueError:
        return host if host.isascii() else host.encode("idna").decode()
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
