"""One mail server: the line of mails that wait for it, and its connections."""

from __future__ import annotations

import asyncio
import ssl

from sender.channels import Outcome
from sender.smtp.breaker import Breaker
from sender.smtp.connections import Connections
from sender.smtp.envelope import Envelope
from sender.smtp.line import Line
from sender.smtp.opening import Timeouts
from streams.settings import SmtpServer


class Server:
    """Sends up to `size` mails at once to one server."""

    def __init__(
        self, setting: SmtpServer, name: str, size: int, timeouts: Timeouts, tls: ssl.SSLContext
    ) -> None:
        """Prepare; the first mail connects. `name` is what EHLO says."""
        self.setting = setting
        self._line = Line()
        self._connections = Connections(self._line, setting, name, size, timeouts, tls)

    @property
    def address(self) -> str:
        """Host and port, as logs and health show them."""
        return f"{self.setting.host}:{self.setting.port}"

    @property
    def breaker(self) -> Breaker:
        """The server's circuit."""
        return self._line.breaker

    @property
    def connects(self) -> int:
        """How often a connection was begun."""
        return self._connections.begun

    async def send(self, envelope: Envelope) -> Outcome:
        """Send a mail and return what the server made of it.

        Raises Unreachable when nothing was tried, Lost when the server did not get all of it;
        either may go to another server.
        """
        mail = self._line.add(envelope)
        self._connections.serve()
        try:
            return await mail.outcome
        except asyncio.CancelledError:
            self._line.withdraw(mail)
            raise

    def let_go(self, why: str) -> None:
        """Wait for no answer any more, and open no connection."""
        self._line.over = True
        self._connections.lose(why)
        self._line.clear(why)

    async def close(self) -> None:
        """Close in good order the connections that are not in use; the others follow."""
        self._line.over = True
        await self._connections.close()
