"""Bytes from a mail server to its replies, however they were cut (RFC 5321, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sender.smtp.replies import Reply

# As aiosmtplib has it: far over what the RFC allows (512, 4.5.3.1.5) and what servers write, and
# little enough for a server that never ends.
LINE: Final = 8192
REPLY: Final = 4 * LINE


class Garbled(ValueError):
    """What came is no reply; nothing behind it can be read."""


class ReplyParser:
    """Takes bytes and gives replies. `pending` says whether a part of one is left."""

    def __init__(self) -> None:
        """Begin at the start of a reply."""
        self._rest = b""
        self._texts: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether a reply has begun and not ended."""
        return bool(self._rest or self._texts)

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that are complete now.

        Raises Garbled where something else comes, after the replies before it.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            code, mark, text = line[:3], line[3:4], line[4:]
            self._size += len(line)
            if len(line) > LINE or self._size > REPLY:
                raise Garbled("a reply without an end")
            if not (len(code) == 3 and code.isdigit()) or mark not in (b" ", b"-", b"\r", b""):
                raise Garbled(f"no reply: {line[:40].decode('ascii', 'replace')}")
            self._texts.append(text.strip())
            if mark != b"-":
                joined = b"\n".join(self._texts).decode("utf-8", "surrogateescape")
                self._texts, self._size = [], 0
                # Where the lines' codes differ, the last counts, as with Postfix.
                yield Reply(int(code), joined)
        if len(self._rest) > LINE:
            raise Garbled("a reply without an end")
