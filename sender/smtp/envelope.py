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


def on_the_wire(content: bytes) -> bytes:
    """Return a mail as DATA carries it: dots stuffed, ended (RFC 5321, 4.5.2).

    Raises InvalidMail for a bare CR or LF: what one server takes for the end of a mail and another
    does not lets a second mail hide in the first (SMTP smuggling).
    """
    lines = content.count(b"\r\n")
    if content.count(b"\n") != lines or content.count(b"\r") != lines:
        raise InvalidMail("a mail holds a bare CR or LF: end its lines with CRLF")
    content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
