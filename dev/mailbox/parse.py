"""Reading a mail: what a list shows of it, and its texts.

Never raises for what is in a mail: it shows what there is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import HeaderParser
from email.utils import getaddresses
from typing import Final

import msgspec

END_OF_HEADERS: Final = re.compile(rb"\r?\n\r?\n")
FOLD: Final = re.compile(r"\r?\n(?=[ \t])")


class Address(msgspec.Struct, rename="pascal"):
    """A name, which may be empty, and an address."""

    name: str
    address: str


class Summary(msgspec.Struct):
    """The headers that a list shows."""

    message_id: str
    sender: Address
    to: list[Address]
    cc: list[Address]
    subject: str


def _decode(text: str) -> str:
    """Return a header's text with its encoded words (RFC 2047) read."""
    text = FOLD.sub("", text).strip()
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, UnicodeError):
        return text


def _addresses(message: Message, name: str) -> list[Address]:
    # Split first, decode then: an encoded name may hold a comma.
    values = [FOLD.sub("", str(value)) for value in message.get_all(name, [])]
    return [Address(_decode(found), address) for found, address in getaddresses(values)]


def headers(content: bytes) -> Message:
    """Return the headers; raw UTF-8 in them (RFC 6532) is read as such."""
    end = END_OF_HEADERS.search(content)
    head = content[: end.start()] if end else content
    return HeaderParser().parsestr(head.decode(errors="replace"))


def summarise(content: bytes, recipients: Sequence[str]) -> Summary:
    """Return what a list shows of a mail."""
    message = headers(content)
    to = _addresses(message, "To")
    return Summary(
        message_id=(message["Message-ID"] or "").strip().strip("<>"),
        sender=next(iter(_addresses(message, "From")), Address("", "")),
        to=to or [Address("", address) for address in recipients],
        cc=_addresses(message, "Cc"),
        subject=_decode(message["Subject"] or ""),
    )


def texts(content: bytes) -> tuple[str, str]:
    """Return the plain text and the HTML of a mail, each empty when there is none."""
    message = message_from_bytes(content, policy=policy.default)
    return _text(message, "plain"), _text(message, "html")


def _text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        payload = part.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""
