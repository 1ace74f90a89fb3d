"""The connections to one mail server: as many as the mails that wait for it need."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Final

from sender.smtp.host import Connection
from sender.smtp.line import Line, Waiting
from sender.smtp.lockstep import Lockstep
from sender.smtp.opening import Timeouts, Unreachable, open_client
from sender.smtp.pipelined import Pipelined
from sender.smtp.transaction import End, Transaction
from streams.settings import SmtpServer
from streams.tasks import end

# Servers drop long connections, and a load balancer in front of them never sees a new one
# otherwise; a reconnection a minute or two costs nothing.
MAILS: Final = 1000
SECONDS: Final = 300.0
# After so long a server may have hung up; a NOOP asks before a mail is risked.
DOUBTFUL: Final = 10.0
# Shorter than any server's patience (RFC 5321, 4.5.3.2.7: 5 minutes).
IDLE: Final = 60.0
# A server that refuses one more connection beside those it has lets us have no more than these;
# after so long it may again.
GROWN: Final = 30.0


class Connections:
    """Up to `size` connections, which take mails from the line when they may write.

    One to a server that offers PIPELINING has two mails at once, so half as many do. `begun` is how
    often one was.
    """

    def __init__(
        self,
        line: Line,
        setting: SmtpServer,
        name: str,
        size: int,
        timeouts: Timeouts,
        tls: ssl.SSLContext,
    ) -> None:
        """Prepare; the first mail connects. `name` is what EHLO says."""
        self.begun = 0
        self._line = line
        self._setting = setting
        self._name = name
        self._size = size
        self._timeouts = timeouts
        self._tls = tls
        self._pipelining = setting.pipelining
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._openings: set[asyncio.Task[None]] = set()
        self._works: set[asyncio.Future[None]] = set()
        # Connections that are being opened, or asked whether they are still there.
        self._coming = 0
        self._grown = 0.0
        self._reaper: asyncio.TimerHandle | None = None

    def serve(self) -> None:
        """Find connections for the mails that wait: idle ones, new ones, those with room."""
        while len(self._line) > self._coming and not self._line.over:
            if self._idle:
                connection = self._idle.pop()
                if monotonic() - connection.used < DOUBTFUL:
                    connection.work()
                else:
                    self._coming += 1
                    # It is asked now, and not when the task begins: by then it would have a mail.
                    self._start(self._asked(connection, connection.alive()))
            elif len(self._open) + self._coming < self._most:
                self._coming += 1
                opening = asyncio.create_task(self._begin())
                self._openings.add(opening)
                opening.add_done_callback(self._openings.discard)
            else:
                break
        if len(self._line) > self._coming:
            for connection in list(self._open):
                if connection.ready and self._line:
                    connection.work()

    def lose(self, why: str) -> None:
        """Close all at once, and open none."""
        for opening in self._openings:
            opening.cancel()
        for connection in list(self._open):
            connection.lose(why)

    async def close(self) -> None:
        """Close in good order those that are not in use; the others follow."""
        if self._reaper is not None:
            self._reaper.cancel()
        await end(*self._openings)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle), *self._works)

    # -- what connections call

    def next(self, connection: Connection) -> Waiting | None:
        """Give the mail that has waited longest, unless the connection has had its share."""
        if not self._line or self._tired(connection):
            return None
        mail = self._line.next()
        # Another mail was on it, or it has waited for one.
        mail.reused = connection.mails > 0 or connection.used > connection.opened
        return mail

    def ended(self, ends: Sequence[tuple[Transaction, End]]) -> None:
        """Hear what became of mails."""
        self._line.ended(ends)

    def free(self, connection: Connection) -> None:
        """Hear that a connection has nothing to do."""
        if self._line.over or self._tired(connection) or not connection.usable:
            self._start(connection.quit())
            return
        self._idle.append(connection)
        self._reap_later()

    def gone(self, connection: Connection) -> None:
        """Hear that a connection is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self.serve()

    # -- they come and go

    @property
    def _most(self) -> int:
        """How many connections to have."""
        if self._open and monotonic() < self._grown:
            return 0
        return (self._size + 1) // 2 if self._pipelining else self._size

    def _tired(self, connection: Connection) -> bool:
        return connection.mails >= MAILS or monotonic() - connection.opened >= SECONDS

    async def _begin(self) -> None:
        self.begun += 1
        try:
            client = await open_client(self._setting, self._name, self._timeouts, self._tls)
            offered = "pipelining" in client.esmtp_extensions
            self._pipelining = offered and self._setting.pipelining
            make = Pipelined if self._pipelining else Lockstep
            connection: Connection = make(client, self._timeouts, self)
            if not connection.usable:
                connection.lose("more than was asked")
                address = f"{self._setting.host}:{self._setting.port}"
                raise Unreachable(f"{address}: EHLO: more than one reply")
        except Exception as error:
            self._coming -= 1
            self._refused(error)
        except BaseException:
            self._coming -= 1
            raise
        else:
            self._coming -= 1
            self._open.add(connection)
            connection.work()
        self.serve()

    def _refused(self, error: Exception) -> None:
        """Hear that no connection could be opened."""
        if self._open:
            # The others take what waits.
            self._grown = monotonic() + GROWN
        else:
            self._line.refused(error)

    async def _asked(self, connection: Connection, answer: Awaitable[bool]) -> None:
        try:
            alive = await answer
        finally:
            self._coming -= 1
        if alive and connection.usable:
            connection.work()
        else:
            await connection.quit()
        self.serve()

    def _reap_later(self) -> None:
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(IDLE, self._reap)

    def _reap(self) -> None:
        """Close what has been idle for long: there are as many as the load needs."""
        self._reaper = None
        past = monotonic() - IDLE
        for connection in [one for one in self._idle if one.used <= past]:
            self._idle.remove(connection)
            self._start(connection.quit())
        if self._idle:
            self._reap_later()

    def _start(self, work: Awaitable[None]) -> None:
        future = asyncio.ensure_future(work)
        self._works.add(future)
        future.add_done_callback(self._works.discard)
