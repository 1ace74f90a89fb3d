"""A socket with one end: whoever asks first says with what code it closes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable
from typing import Final

from aiohttp import web

# Close codes of the contract; 1001, 1008 and 1011 are RFC 6455's, 1013 is IANA's "try again later".
GOING_AWAY: Final = 1001
TOO_FAST: Final = 1008
FAILED: Final = 1011
TRY_LATER: Final = 1013
UNAUTHORIZED: Final = 4401
NO_TOKEN: Final = 4408
TOO_MANY: Final = 4429
NORMAL: Final = 1000
STOPPING_SECONDS: Final = 0.3
# A closing handshake with a client that does not answer, and all of it with one that does not read.
CLOSE_SECONDS: Final = 2.0
# No socket lives for a year, and event loops take no time of whatever size.
LONGEST_SECONDS: Final = 365 * 86_400.0


class Line:
    """Runs what serves a socket until it is done, asked to end, or its time is up.

    aiohttp's `close` from another task drops the connection right behind the close frame, and a
    client may then see 1006 instead of the code. Here the task that reads is interrupted, and
    closes itself, with the handshake.

    A transport that is closed lives on until its client has read what was written to it, which one
    that means harm never does. What is left of that after the close is thrown away.
    """

    __slots__ = (
        "_active",
        "_asked",
        "_code",
        "_reason",
        "_scope",
        "_transport",
        "socket",
        "task",
    )

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        """Serve that socket, which is prepared, over that transport."""
        self.socket = socket
        self._transport = transport
        self.task: asyncio.Task[None] | None = None
        self._scope = asyncio.timeout(None)
        self._active = False
        self._asked = False
        self._code = NORMAL
        self._reason = ""

    async def run(self, work: Awaitable[None]) -> None:
        """Await the work, then close the socket with the code that was asked for."""
        try:
            async with self._scope:
                self._active = True
                try:
                    await work
                finally:
                    self._active = False
        except TimeoutError:
            if not self._scope.expired():
                raise
        finally:
            await self._close()

    async def _close(self) -> None:
        # The server of a stopping worker reads nothing any more (aiohttp, RequestHandler.close):
        # the client's half of the handshake is given the time to arrive, and not waited for.
        limit = STOPPING_SECONDS if self._code == GOING_AWAY else 2 * CLOSE_SECONDS
        try:
            async with asyncio.timeout(limit):
                await self.socket.close(code=self._code, message=self._reason.encode())
        except (TimeoutError, ConnectionError):
            pass
        except asyncio.CancelledError:
            # Tasks that wait until they may write share a future in aiohttp, and who is cancelled
            # there cancels all: not every one of these is ours.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        finally:
            self._throw_away()

    def _throw_away(self) -> None:
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size():
            # With a reset: else the kernel goes on offering the client megabytes of its own buffer.
            raw = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    @property
    def over(self) -> bool:
        """Tell whether its end has come: the interruption may have been lost (streams/tasks.py)."""
        return self._asked or self._scope.expired()

    def end(self, code: int, reason: str) -> None:
        """End now; the first one to ask is heard."""
        if not self._asked:
            self._asked, self._code, self._reason = True, code, reason
            if self._active:
                self._scope.reschedule(asyncio.get_running_loop().time())

    def end_at(self, moment: float, code: int, reason: str) -> None:
        """End at that Unix time, in place of the time that was set before."""
        if not self._asked and self._active:
            self._code, self._reason = code, reason
            left = min(moment - time.time(), LONGEST_SECONDS)
            self._scope.reschedule(asyncio.get_running_loop().time() + left)
