"""One mail server: its connections, reused, and its circuit breaker."""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic
from typing import Final

from sender.channels import Outcome
from sender.smtp.breaker import Breaker
from sender.smtp.connection import Connection, Lost
from sender.smtp.envelope import Envelope
from sender.smtp.opening import Timeouts, Unreachable, open_client
from sender.smtp.patience import Patience
from streams.errors import InvalidMail
from streams.settings import SmtpServer

# Servers drop long connections, and a load balancer in front of them never sees a new one
# otherwise; a reconnection a minute or two costs nothing.
MAILS: Final = 1000
SECONDS: Final = 300.0
# After so long a server may have hung up; a NOOP asks before a mail is risked.
DOUBTFUL: Final = 10.0
# Shorter than any server's patience (RFC 5321, 4.5.3.2.7: 5 minutes).
IDLE: Final = 60.0


class Server:
    """Sends mails over at most `size` connections to one server."""

    def __init__(
        self,
        setting: SmtpServer,
        name: str,
        size: int,
        timeouts: Timeouts,
        tls: ssl.SSLContext,
        patience: Patience,
    ) -> None:
        """Prepare; the first mail connects. `name` is what EHLO says."""
        self.setting = setting
        self.breaker = Breaker()
        self.connects = 0
        self._name = name
        self._timeouts = timeouts
        self._tls = tls
        self._patience = patience
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    @property
    def address(self) -> str:
        """Host and port, as logs and health show them."""
        return f"{self.setting.host}:{self.setting.port}"

    async def send(self, envelope: Envelope) -> Outcome:
        """Send a mail over a free connection and return what the server made of it.

        Raises Unreachable when nothing was tried, Lost when the server did not get all of it;
        either may go to another server.
        """
        async with self._slots:
            if not self.breaker.allows():
                raise Unreachable(self.breaker.reason)
            try:
                return await self._send(envelope)
            except (Unreachable, Lost) as error:
                self.breaker.failed(str(error))
                raise
            except BaseException:
                self.breaker.let_go()
                raise

    async def close(self) -> None:
        """Close all connections that are not in use, in good order."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _send(self, envelope: Envelope) -> Outcome:
        while True:
            connection = await self._take()
            reused = connection.mails > 0
            try:
                outcome = await connection.send(envelope)
            except Lost:
                connection.abort()
                if reused:
                    # The server hung up on an idle connection: that says nothing about it.
                    continue
                raise
            except InvalidMail:
                # Found before a word was said.
                await self._put(connection)
                raise
            except BaseException:
                connection.abort()
                raise
            if reused and connection.hung_up:
                # Enough mails for this connection, says the server; a new one may have more.
                connection.abort()
                continue
            await self._put(connection)
            if outcome.maybe or connection.hung_up:
                self.breaker.failed(outcome.reason)
            else:
                self.breaker.succeeded()
            return outcome

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            idle = monotonic() - connection.used
            if idle < DOUBTFUL or (idle < IDLE and await connection.alive()):
                return connection
            await connection.quit()
        self.connects += 1
        opening = open_client(self.setting, self._name, self._timeouts, self._tls)
        try:
            client = await self._patience.wait(opening, None)
        except TimeoutError as error:
            raise Unreachable(f"{self.address}: {error}") from error
        return Connection(client, self._timeouts, self._patience)

    async def _put(self, connection: Connection) -> None:
        age = monotonic() - connection.opened
        if connection.usable and connection.mails < MAILS and age < SECONDS:
            self._idle.append(connection)
        else:
            await connection.quit()
