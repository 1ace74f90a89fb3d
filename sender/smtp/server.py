"""One mail server: the mails that wait for it, its connections, and its circuit breaker."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Final

from sender.channels import Outcome
from sender.smtp.breaker import Breaker, Try
from sender.smtp.envelope import Envelope
from sender.smtp.host import Connection
from sender.smtp.lockstep import Lockstep
from sender.smtp.opening import Timeouts, Unreachable, open_client
from sender.smtp.pipelined import Pipelined
from sender.smtp.transaction import End, HungUp, Lost, Transaction
from streams.errors import Undelivered
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


class _Waiting(Transaction):
    """A mail, whether it is the breaker's probe, and who waits for its outcome."""

    def __init__(self, envelope: Envelope, tried: Try) -> None:
        super().__init__(envelope)
        self.tried = tried
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class Server:
    """Sends up to `size` mails at once to one server.

    Mails wait in one line, and connections take from it when they may write: one to a server that
    offers PIPELINING has two mails at once, so half as many connections do.
    """

    def __init__(
        self, setting: SmtpServer, name: str, size: int, timeouts: Timeouts, tls: ssl.SSLContext
    ) -> None:
        """Prepare; the first mail connects. `name` is what EHLO says."""
        self.setting = setting
        self.breaker = Breaker()
        self.connects = 0
        self._name = name
        self._size = size
        self._timeouts = timeouts
        self._tls = tls
        self._pipelining = setting.pipelining
        self._waiting: deque[_Waiting] = deque()
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._openings: set[asyncio.Task[None]] = set()
        self._works: set[asyncio.Future[None]] = set()
        # Connections that are being opened, or asked whether they are still there.
        self._coming = 0
        self._grown = 0.0
        self._reaper: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def address(self) -> str:
        """Host and port, as logs and health show them."""
        return f"{self.setting.host}:{self.setting.port}"

    async def send(self, envelope: Envelope) -> Outcome:
        """Send a mail and return what the server made of it.

        Raises Unreachable when nothing was tried, Lost when the server did not get all of it;
        either may go to another server.
        """
        if (tried := self.breaker.allows()) is None:
            raise Unreachable(self.breaker.reason)
        mail = _Waiting(envelope, tried)
        self._waiting.append(mail)
        self._serve()
        try:
            return await mail.outcome
        except asyncio.CancelledError:
            mail.withdrawn = True
            if mail in self._waiting:
                self._waiting.remove(mail)
            self.breaker.let_go(tried)
            raise

    def let_go(self, why: str) -> None:
        """Wait for no answer any more, and open no connection."""
        self._over = True
        for opening in self._openings:
            opening.cancel()
        for connection in list(self._connections):
            connection.lose(why)
        self._away(why)

    async def close(self) -> None:
        """Close in good order the connections that are not in use; the others follow."""
        self._over = True
        if self._reaper is not None:
            self._reaper.cancel()
        await end(*self._openings)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle), *self._works)

    # -- what connections call

    def next(self, connection: Connection) -> _Waiting | None:
        """Give the mail that has waited longest, unless the connection has had its share."""
        if not self._waiting or self._tired(connection):
            return None
        mail = self._waiting.popleft()
        # Another mail was on it, or it has waited for one.
        mail.reused = connection.mails > 0 or connection.used > connection.opened
        return mail

    def ended(self, ends: Sequence[tuple[Transaction, End]]) -> None:
        """Tell those who wait; what another connection may try goes back to the line's head."""
        again: list[_Waiting] = []
        for mail, known in ends:
            assert isinstance(mail, _Waiting)
            if isinstance(known, Lost) and mail.reused:
                # The server hung up on a connection that had been in use or idle: that says
                # nothing about it. Enough mails for this one, perhaps; a new one may have more.
                if self._may_wait(mail):
                    again.append(mail)
                else:
                    self.breaker.let_go(mail.tried)
                    _tell(mail, Unreachable(str(known)))
            elif isinstance(known, HungUp):
                self._failed(mail, known.outcome, known.outcome.reason)
            elif isinstance(known, Undelivered):
                self._failed(mail, known, str(known))
            elif isinstance(known, Exception):
                # Found before a word was said.
                self.breaker.let_go(mail.tried)
                _tell(mail, known)
            elif known.maybe:
                self._failed(mail, known, known.reason)
            else:
                self.breaker.succeeded()
                _tell(mail, known)
        self._waiting.extendleft(reversed(again))

    def free(self, connection: Connection) -> None:
        """Hear that a connection has nothing to do."""
        if self._over or self._tired(connection) or not connection.usable:
            self._start(connection.quit())
            return
        self._idle.append(connection)
        self._reap_later()

    def gone(self, connection: Connection) -> None:
        """Hear that a connection is closed."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve()

    # -- the line

    def _serve(self) -> None:
        """Find connections for the mails that wait: idle ones, new ones, those with room."""
        while len(self._waiting) > self._coming and not self._over:
            if self._idle:
                connection = self._idle.pop()
                if monotonic() - connection.used < DOUBTFUL:
                    connection.work()
                else:
                    self._coming += 1
                    # It is asked now, and not when the task begins: by then it would have a mail.
                    self._start(self._asked(connection, connection.alive()))
            elif len(self._connections) + self._coming < self._most:
                self._coming += 1
                opening = asyncio.create_task(self._open())
                self._openings.add(opening)
                opening.add_done_callback(self._openings.discard)
            else:
                break
        if len(self._waiting) > self._coming:
            for connection in list(self._connections):
                if connection.ready and self._waiting:
                    connection.work()

    @property
    def _most(self) -> int:
        """How many connections to have."""
        if self._connections and monotonic() < self._grown:
            return 0
        return (self._size + 1) // 2 if self._pipelining else self._size

    def _tired(self, connection: Connection) -> bool:
        return connection.mails >= MAILS or monotonic() - connection.opened >= SECONDS

    def _may_wait(self, mail: _Waiting) -> bool:
        return not (self._over or mail.withdrawn or self.breaker.state == "open")

    def _failed(self, mail: _Waiting, known: End, reason: str) -> None:
        self.breaker.failed(mail.tried, reason)
        _tell(mail, known)
        if self.breaker.state == "open":
            self._away(self.breaker.reason)

    def _away(self, why: str) -> None:
        """Let nothing wait any longer."""
        waiting, self._waiting = self._waiting, deque()
        for mail in waiting:
            self.breaker.let_go(mail.tried)
            _tell(mail, Unreachable(why))

    # -- connections come and go

    async def _open(self) -> None:
        self.connects += 1
        try:
            client = await open_client(self.setting, self._name, self._timeouts, self._tls)
            offered = "pipelining" in client.esmtp_extensions
            self._pipelining = offered and self.setting.pipelining
            make = Pipelined if self._pipelining else Lockstep
            connection: Connection = make(client, self._timeouts, self)
            if not connection.usable:
                connection.lose("more than was asked")
                raise Unreachable(f"{self.address}: EHLO: more than one reply")
        except Exception as error:
            self._coming -= 1
            self._refused(error)
        except BaseException:
            self._coming -= 1
            raise
        else:
            self._coming -= 1
            self._connections.add(connection)
            connection.work()
        self._serve()

    def _refused(self, error: Exception) -> None:
        """Hear that no connection could be opened."""
        if self._connections:
            # The others take what waits.
            self._grown = monotonic() + GROWN
        elif self._waiting:
            self.ended([(self._waiting.popleft(), error)])

    async def _asked(self, connection: Connection, answer: Awaitable[bool]) -> None:
        try:
            alive = await answer
        finally:
            self._coming -= 1
        if alive and connection.usable:
            connection.work()
        else:
            await connection.quit()
        self._serve()

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


def _tell(mail: _Waiting, known: End) -> None:
    if mail.outcome.done():
        return
    if isinstance(known, Exception):
        mail.outcome.set_exception(known)
    else:
        mail.outcome.set_result(known)
