"""A mail server that takes everything, counts it, and says when a mail for an address has come.

Some 30 µs a mail, where the dev mailbox takes a millisecond: the sender is what is measured.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from dev.ports import HOST, free_port

GREETING: Final = b"220 counting ESMTP\r\n"
OFFERS: Final = b"250-counting\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 40000000\r\n"
DONE: Final = b"250 2.0.0 Ok\r\n"
ANSWERS: Final = {
    b"EHLO": OFFERS,
    b"DATA": b"354 End with a dot\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
END: Final = b"\r\n.\r\n"


class CountingServer:
    """Mails that have come, all in all; it may go away and come back at the same port."""

    def __init__(self) -> None:
        """Choose a port."""
        self.port = free_port()
        self.count = 0
        #: Told the time (perf_counter) at which the mail for an address has come.
        self.waiting: dict[str, asyncio.Future[float]] = {}
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """What CINEMA_SMTP is to say."""
        return f"smtp://{HOST}:{self.port}?starttls=never"

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self.port)

    def stop(self) -> None:
        """Go away, in the middle of whatever there is."""
        assert self._server is not None
        self._server.close()
        for transport in list(self.connections):
            transport.abort()

    def took(self, address: str) -> None:
        """Count a mail."""
        self.count += 1
        future = self.waiting.pop(address, None)
        if future is not None and not future.done():
            future.set_result(time.perf_counter())


class _Connection(asyncio.Protocol):
    def __init__(self, server: CountingServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._reads_mail = False
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(transport)
        transport.write(GREETING)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        seen = max(len(self._buffer) - len(END), 0) if self._reads_mail else 0
        self._buffer += data
        replies = b""
        while (end := self._buffer.find(END if self._reads_mail else b"\r\n", seen)) >= 0:
            seen = 0
            if self._reads_mail:
                del self._buffer[: end + len(END)]
                self._reads_mail = False
                self._server.took(self._address)
                replies += DONE
            else:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 2]
                verb = line[:4].upper()
                if verb == b"RCPT":
                    self._address = line.partition(b"<")[2].partition(b">")[0].decode()
                self._reads_mail = verb == b"DATA"
                replies += ANSWERS.get(verb, DONE)
        if replies:
            self._transport.write(replies)
