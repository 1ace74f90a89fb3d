"""Many people with an open socket each, in a process of their own.

Says in a line how long it took to connect them all, and for each line on stdin what notices have
come since the last one: how long each took from the time in its body, in seconds.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import sys
import time
from typing import Any, Final

import jwt
import msgspec
import uvloop

from dev.ports import HOST

# Handshakes under way: less than the listener's backlog, so that none is tried twice.
AT_ONCE: Final = 64
LIMIT: Final = 120.0


class Options(msgspec.Struct, frozen=True):
    """How many people, and where they look."""

    port: int
    secret: str
    people: int


class Person(asyncio.Protocol):
    """One socket: the least that speaks the protocol (RFC 6455)."""

    def __init__(self, first: bytes, taken: list[float]) -> None:
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._first = first
        self._taken = taken
        self._buffer = b""
        self._open = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if not self.greeted.done():
            self.greeted.set_exception(error or ConnectionResetError("closed"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            _, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._open, self._buffer = True, rest
            self._send(1, self._first)
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 4:
            # A text frame of ours is longer; a ping of nothing is not.
            if len(buffer) == 2 and buffer[1] == 0:
                self._buffer = b""
                return buffer[0] & 15, b""
            return None
        size, start = buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4]), 4
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 15, buffer[start : start + size]

    def _take(self, opcode: int, data: bytes) -> None:
        if opcode == 9:
            self._send(10, data)
        elif b'"type":"notification"' in data:
            sent = int(msgspec.json.decode(data)["body"])
            self._taken.append((time.time_ns() - sent) / 1e9)
        elif b'"type":"hello"' in data and not self.greeted.done():
            self.greeted.set_result(None)

    def _send(self, opcode: int, data: bytes) -> None:
        # Masked with zeros, which costs nothing.
        size = struct.pack("!B", 0x80 | len(data))
        if len(data) > 125:
            size = struct.pack("!BH", 0x80 | 126, len(data))
        self._transport.write(bytes((0x80 | opcode,)) + size + bytes(4) + data)


async def run(options: Options) -> None:
    """Connect them all, and tell what came when asked."""
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    slots = asyncio.Semaphore(AT_ONCE)
    people: list[Person] = []

    async def connect(number: int) -> None:
        claims = {"sub": f"user-{number}", "exp": int(time.time()) + 3600}
        token = jwt.encode(claims, options.secret, "HS256")
        first = msgspec.json.encode({"token": token})
        async with slots:
            _, person = await loop.create_connection(
                lambda: Person(first, taken), HOST, options.port
            )
            people.append(person)
            await asyncio.wait_for(person.greeted, LIMIT)

    began = time.monotonic()
    await asyncio.gather(*(connect(number) for number in range(options.people)))
    say({"connected": len(people), "seconds": time.monotonic() - began})
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        say({"taken": taken, "lost": sum(person.lost for person in people)})
        taken.clear()


def say(what: object) -> None:
    """Print one line of JSON."""
    print(msgspec.json.encode(what).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Options)))
