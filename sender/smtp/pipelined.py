"""A connection on which mails follow each other without waiting for their replies (RFC 2920)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import cast

import aiosmtplib

from sender.smtp.dialogue import Awaited, Dialogue
from sender.smtp.host import Host
from sender.smtp.opening import Timeouts, told


class Pipelined(asyncio.Protocol):
    """An open connection to a server that offers PIPELINING; see `host.Connection`.

    It has one content on the wire at most, and one envelope ahead of it.
    """

    def __init__(self, client: aiosmtplib.SMTP, timeouts: Timeouts, host: Host) -> None:
        """Take over the transport of a client that has just been opened."""
        assert client.protocol is not None
        self.opened = self.used = monotonic()
        self._timeouts = timeouts
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(client.esmtp_extensions)
        self._head: Awaited | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[bool] | None = None
        self._closed = self._loop.create_future()
        self._transport = cast(asyncio.Transport, client.protocol.transport)
        self._transport.set_protocol(self)
        if client.protocol._buffer:
            # More than was asked, before anything was.
            self._dialogue.receive(bytes(client.protocol._buffer))

    @property
    def mails(self) -> int:
        """How many were begun."""
        return self._dialogue.mails

    @property
    def usable(self) -> bool:
        """Whether another may be begun, now or later."""
        return self._dialogue.usable and not self._transport.is_closing()

    @property
    def ready(self) -> bool:
        """Whether another may be begun now, though others may be under way."""
        return self._dialogue.ready and self._answer is None and not self._transport.is_closing()

    def work(self) -> None:
        """Begin what waits, as far as may be written now."""
        dialogue = self._dialogue
        self._answer = None
        while self.ready and (mail := self._host.next(self)) is not None:
            dialogue.begin(mail)
        self._write()
        self._settle()
        if not dialogue.usable:
            self.abort()
        elif dialogue.awaited is None:
            self.used = monotonic()
            self._host.free(self)

    def alive(self) -> Awaitable[bool]:
        """Ask the server whether it is still there; whoever asked has it `work` after."""
        self._answer = self._loop.create_future()
        self._dialogue.ask()
        self._write()
        return self._answer

    def quit(self) -> Awaitable[None]:
        """Close in good order; a server that does not answer is not waited for."""
        if self.usable:
            self._dialogue.quit()
            self._write()
        elif self._dialogue.awaited is None:
            self.abort()
        return asyncio.shield(self._closed)

    def lose(self, why: str) -> None:
        """Wait for nothing any more, and close."""
        self._dialogue.lose(why)
        self._settle()
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
        self._gone()

    def data_received(self, data: bytes) -> None:
        """Take replies, and write what may be written after them."""
        dialogue = self._dialogue
        quitting = self._head is not None and self._head.step == "QUIT"
        dialogue.receive(data)
        if quitting:
            if dialogue.awaited is None:
                self._transport.close()
                self._gone()
        elif self._answer is not None:
            if dialogue.awaited is None and not self._answer.done():
                self._answer.set_result(dialogue.usable)
        else:
            self.work()

    def connection_lost(self, error: Exception | None) -> None:
        """End what is under way."""
        self._dialogue.lose(told(error) if error is not None else "connection lost")
        self._settle()
        self._gone()

    def _write(self) -> None:
        if output := self._dialogue.output():
            self._transport.write(output)
        head = self._dialogue.awaited
        if head is self._head:
            return
        self._head = head
        if head is None:
            return
        now = self._loop.time()
        self._deadline = now + self._patience(head)
        if head.step == "QUIT" and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            # No later than the shortest patience: then it need not be set anew for each reply.
            soon = min(self._deadline, now + self._timeouts.command)
            self._timer = self._loop.call_at(soon, self._look)

    def _patience(self, head: Awaited) -> float:
        match head.step:
            case "end of data":
                return self._timeouts.final
            case "QUIT":
                return self._timeouts.quit
        return self._timeouts.command

    def _look(self) -> None:
        """Look whether the reply that is due has come."""
        self._timer = None
        if self._head is None:
            return
        now = self._loop.time()
        if now >= self._deadline:
            self.lose(f"no answer within {self._patience(self._head):g} s")
        else:
            soon = min(self._deadline, now + self._timeouts.command)
            self._timer = self._loop.call_at(soon, self._look)

    def _settle(self) -> None:
        if ends := self._dialogue.ended:
            self._dialogue.ended = []
            self._host.ended(ends)

    def _gone(self) -> None:
        if self._closed.done():
            return
        self._closed.set_result(None)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)
        if self._timer is not None:
            self._timer.cancel()
        self._host.gone(self)
