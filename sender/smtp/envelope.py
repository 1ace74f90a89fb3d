"""A mail as the pool takes it, and as DATA carries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.errors import InvalidMail


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is from and for, ready for the wire, and what builds it (8bit or not)."""

    sender: str
    recipient: str
    needs_smtputf8: bool
    build: Callable[[bool], bytes]


class Lines(bytes):
    """A mail whose builder has ended all lines with CRLF, so that nobody need look again."""


def on_the_wire(content: bytes) -> bytes:
    """Return a mail as DATA carries it: dots stuffed, ended (RFC 5321, 4.5.2).

    Raises InvalidMail for a bare CR or LF, which Lines do not have.
    """
    if not isinstance(content, Lines):
        check_line_ends(content)
    ended = content.endswith(b"\r\n")
    if content.rfind(b"\r\n.") >= 0:
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if ended else b"\r\n.\r\n")


def check_line_ends(content: bytes) -> None:
    """Raise InvalidMail for a bare CR or LF.

    What one server takes for the end of a mail and another does not lets a second mail hide in the
    first (SMTP smuggling).
    """
    # Of what Python can do with 17 kB, the quickest: taking the lines apart and joining them, and
    # looking for three bytes from behind (18 us; counting and replacing took 36).
    joined = b"\r\n".join(content.splitlines())
    ended = content.endswith(b"\r\n") and len(content) == len(joined) + 2
    if not (content.startswith(joined) and (ended or len(content) == len(joined))):
        raise InvalidMail("a mail holds a bare CR or LF: end its lines with CRLF")
