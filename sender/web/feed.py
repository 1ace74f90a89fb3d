"""What waits for one socket: messages of its user's channel, never more than a few."""

from __future__ import annotations

import asyncio
from typing import Final

from sender.inbox import PAGE_BYTES, Added, Message

# A slower reader is brought up to date from Redis instead, a page at a time.
BUFFER: Final = 64
BUFFER_BYTES: Final = PAGE_BYTES


class Feed:
    """What is new for one socket: messages in order, or that it must look for itself.

    There are thousands, most of them empty: an empty deque takes 700 bytes, a list 56.
    """

    __slots__ = ("_messages", "_size", "_waiter", "behind", "evicted", "seat")

    def __init__(self, seat: bytes) -> None:
        """Begin behind: nothing is known yet. `seat` is the socket's name among the user's."""
        self._messages: list[Message] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self.seat = seat
        #: Messages were missed: replay from the cursor.
        self.behind = True
        #: The user has opened more sockets than allowed, and this is the oldest.
        self.evicted = False

    def put(self, message: Message) -> None:
        """Add a message; one too many drops them all."""
        if self.behind:
            return
        self._size += _size(message)
        if len(self._messages) >= BUFFER or self._size > BUFFER_BYTES:
            self.fall_behind()
        else:
            self._messages.append(message)
            self._wake()

    def fall_behind(self) -> None:
        """Ask for a replay: the messages that wait are part of it."""
        self._messages.clear()
        self._size = 0
        self.behind = True
        self._wake()

    def evict(self) -> None:
        """Ask the socket to go."""
        self.evicted = True
        self._wake()

    def catch_up(self) -> None:
        """Take messages again; called before the inbox is looked at."""
        self.behind = False

    def take(self) -> Message | None:
        """Return the next message, None when there is none."""
        if not self._messages:
            return None
        message = self._messages.pop(0)
        self._size -= _size(message)
        return message

    async def wait(self) -> None:
        """Wait until there is something to do."""
        if not (self._messages or self.behind or self.evicted):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _size(message: Message) -> int:
    return len(message.entry.body) if isinstance(message, Added) else 0
