"""The line of mails that wait for one server, what becomes of each, and the server's circuit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from sender.channels import Outcome
from sender.smtp.breaker import Breaker, Try
from sender.smtp.envelope import Envelope
from sender.smtp.opening import Unreachable
from sender.smtp.transaction import End, HungUp, Lost, Transaction
from streams.errors import Undelivered


class Waiting(Transaction):
    """A mail, whether it is the breaker's probe, and who waits for its outcome."""

    def __init__(self, envelope: Envelope, tried: Try) -> None:
        super().__init__(envelope)
        self.tried = tried
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class Line:
    """The mails that wait, longest first; `over` once none is to be tried again."""

    def __init__(self) -> None:
        """Let none wait yet."""
        self.breaker = Breaker()
        self.over = False
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        """Return how many wait for a connection."""
        return len(self._waiting)

    def add(self, envelope: Envelope) -> Waiting:
        """Let a mail wait; raises Unreachable while the circuit is open."""
        if (tried := self.breaker.allows()) is None:
            raise Unreachable(self.breaker.reason)
        mail = Waiting(envelope, tried)
        self._waiting.append(mail)
        return mail

    def next(self) -> Waiting:
        """Take the mail that has waited longest."""
        return self._waiting.popleft()

    def withdraw(self, mail: Waiting) -> None:
        """Hear that nobody wants a mail sent any more."""
        mail.withdrawn = True
        if mail in self._waiting:
            self._waiting.remove(mail)
        self.breaker.let_go(mail.tried)

    def ended(self, ends: Sequence[tuple[Transaction, End]]) -> None:
        """Tell those who wait; what another connection may try goes back to the line's head."""
        again: list[Waiting] = []
        for mail, known in ends:
            assert isinstance(mail, Waiting)
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

    def refused(self, error: Exception) -> None:
        """Hear that there is no connection: the first mail has tried it for all."""
        if self._waiting:
            self.ended([(self.next(), error)])

    def clear(self, why: str) -> None:
        """Let nothing wait any longer."""
        waiting, self._waiting = self._waiting, deque()
        for mail in waiting:
            self.breaker.let_go(mail.tried)
            _tell(mail, Unreachable(why))

    def _may_wait(self, mail: Waiting) -> bool:
        return not (self.over or mail.withdrawn or self.breaker.state == "open")

    def _failed(self, mail: Waiting, known: End, reason: str) -> None:
        self.breaker.failed(mail.tried, reason)
        _tell(mail, known)
        if self.breaker.state == "open":
            self.clear(self.breaker.reason)


def _tell(mail: Waiting, known: End) -> None:
    if mail.outcome.done():
        return
    if isinstance(known, Exception):
        mail.outcome.set_exception(known)
    else:
        mail.outcome.set_result(known)
