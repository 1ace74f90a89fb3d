"""What a client says, at the pace that is allowed."""

from __future__ import annotations

from time import monotonic
from typing import Final

from aiohttp import WSMessage, WSMsgType

from sender.web.line import TOO_FAST, Line

# A page sends a token, pings, and what was read, 200 ids a frame. A client that marks each entry as
# it comes sends a page of them at once; frames of nothing are what an attacker has.
FRAMES_A_SECOND: Final = 50
FRAMES_AT_ONCE: Final = 200


class Incoming:
    """The frames of one client. Those of the protocol itself are counted and answered here."""

    __slots__ = ("_due", "_line")

    def __init__(self, line: Line) -> None:
        """Read from that line's socket, which leaves pings to us."""
        self._line = line
        #: When the frames so far would have come at an even pace (GCRA: ITU-T I.371, annex A).
        self._due = 0.0

    async def next(self) -> WSMessage | None:
        """Return the next text or binary frame, None when no further one is to be read."""
        socket = self._line.socket
        while not self._line.over:
            message: WSMessage = await socket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.PING | WSMsgType.PONG:
                    if self._too_fast():
                        self._line.end(TOO_FAST, f"more than {FRAMES_A_SECOND} frames a second")
                        return None
                case _:
                    return None
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                return message
        return None

    def _too_fast(self) -> bool:
        now = monotonic()
        self._due = max(self._due, now) + 1 / FRAMES_A_SECOND
        return self._due - now > FRAMES_AT_ONCE / FRAMES_A_SECOND
