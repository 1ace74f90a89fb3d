"""A websocket client on a bare socket, which reads when it is told to."""

from __future__ import annotations

import asyncio
import base64
import os
import select
import socket
import struct
from typing import Any

import msgspec


class Raw:
    """A client on a bare socket, which reads when it is told to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._data = b""

    async def open(self, **first: Any) -> None:
        """Shake hands and say who is there."""
        loop = asyncio.get_running_loop()
        request = (
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            f"{base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        )
        await loop.sock_sendall(self._socket, request.encode())
        while b"\r\n\r\n" not in self._data:
            self._data += await loop.sock_recv(self._socket, 1)
        self._data = b""
        await self.send(first)

    async def send(self, value: object) -> None:
        """Send a text frame, masked with zeros (RFC 6455, 5.3)."""
        await self.send_bytes(0x81, msgspec.json.encode(value))

    async def send_bytes(self, first: int, data: bytes) -> None:
        """Send a frame with that first byte: 0x80 for the last of a message, and the opcode."""
        head = struct.pack("!BBH", first, 0x80 | 126, len(data)) + bytes(4)
        await asyncio.get_running_loop().sock_sendall(self._socket, head + data)

    async def frame(self) -> dict[str, Any]:
        """Read the next text frame, or the one that closes; pings are not answered."""
        while True:
            head = await self._take(2)
            size = head[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self._take(2))
            data = await self._take(size)
            if head[0] & 0x0F == 1:
                found: dict[str, Any] = msgspec.json.decode(data)
                return found
            if head[0] & 0x0F == 8:
                return {"type": "close", "code": int.from_bytes(data[:2], "big")}

    async def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            async with asyncio.timeout(10):
                more = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 16)
            assert more, "the server has closed"
            self._data += more
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    async def cut_off(self) -> bool:
        """Tell whether the server has thrown the connection away, without reading from it."""
        poll = select.poll()
        poll.register(self._socket, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))

    def close(self) -> None:
        self._socket.close()
