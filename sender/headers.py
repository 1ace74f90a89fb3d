"""Header fields as text: folded (RFC 5322), encoded words where a word is not plain (RFC 2047)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from streams.errors import InvalidMail

# RFC 5322, 2.1.1: lines should be of at most 78 characters, and must be of at most 998.
LINE: Final = 78
LINE_LIMIT: Final = 998
# RFC 2047, 2: an encoded word has at most 75 characters, a line that holds one at most 76.
WORD: Final = 75
ENCODED_LINE: Final = 76
FRAME: Final = len("=?utf-8?q??=")

CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
# RFC 2047, 5 (3): what may stand as itself in a phrase, the strictest of the three places.
PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
QUOTED: Final = tuple(
    chr(byte) if byte in PLAIN else "_" if byte == 0x20 else f"={byte:02X}" for byte in range(256)
)
ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]+")
# What may stand in an id or a URL between angle brackets: visible ASCII but the brackets.
BRACKETED: Final = re.compile(r"[!-;=?-~]+")


def one_line(text: str) -> str:
    """Return the text on one line: white space collapsed, control characters gone."""
    return " ".join(CONTROL.sub("", text).split())


# A campaign's mails have one subject.
@lru_cache(maxsize=64)
def unstructured(name: str, value: str) -> str:
    """Return a field of free text, such as Subject, with its line end."""
    value = one_line(value)
    if value.isascii() and "=?" not in value:
        line = f"{name}: {value}"
        if len(line) <= LINE:
            return line + "\r\n"
        words = value.split(" ")
        if len(name) + 2 + len(words[0]) <= LINE and max(map(len, words)) < LINE:
            return _fold(f"{name}:", words)
    return _fold(f"{name}:", encoded_words(value, ENCODED_LINE - len(name) - 2))


def address_field(name: str, display: str, address: str) -> str:
    """Return a field that names one mailbox; `address` is ready for the wire.

    Raises InvalidMail for one that is longer than a line.
    """
    if len(name) + len(address.encode()) + len(": <>") > LINE_LIMIT:
        raise InvalidMail(f"{name}: an address is longer than the {LINE_LIMIT} bytes of a line")
    display = one_line(display)
    if not display:
        return _fold(f"{name}:", [address])
    return _fold(f"{name}:", [*_phrase(display, len(name) + 2), f"<{address}>"])


def bracketed(name: str, value: str) -> str:
    """Return a field of one id or URL in angle brackets, which no fold can cut.

    Raises InvalidMail for what cannot stand there.
    """
    if not BRACKETED.fullmatch(value):
        raise InvalidMail(f"{name} wants visible ASCII without < and >: encode the value")
    if len(value) + 3 > LINE_LIMIT:
        raise InvalidMail(f"{name} is longer than the {LINE_LIMIT} bytes of a line: shorten it")
    return _fold(f"{name}:", [f"<{value}>"])


def encoded_words(text: str, first: int = WORD) -> list[str]:
    """Return the text as encoded words of UTF-8, in base64 or Q, whichever is shorter.

    `first` is the room for the first word: the rest of the line that the name has begun. No word
    ends within a character (RFC 2047, 5).
    """
    data = text.encode()
    plain = sum(map(PLAIN.__contains__, data)) + data.count(b" ")
    if plain + 3 * (len(data) - plain) <= (len(data) + 2) // 3 * 4:
        return [f"=?utf-8?q?{part}?=" for part in _q_parts(text, first)]
    return [f"=?utf-8?b?{part}?=" for part in _b_parts(data, first)]


def _q_parts(text: str, first: int) -> Iterable[str]:
    room = min(first, WORD) - FRAME
    part = ""
    for character in text:
        piece = "".join(map(QUOTED.__getitem__, character.encode()))
        if len(part) + len(piece) > room:
            yield part
            part, room = "", WORD - FRAME
        part += piece
    yield part


def _b_parts(data: bytes, first: int) -> Iterable[str]:
    room = min(first, WORD) - FRAME
    start = 0
    while start < len(data):
        end = min(start + room // 4 * 3, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield b64encode(data[start:end]).decode()
        start, room = end, WORD - FRAME


@lru_cache(maxsize=64)
def _phrase(display: str, used: int) -> tuple[str, ...]:
    """Return a display name as the words of a phrase, each short enough for a line."""
    if display.isascii() and "=?" not in display:
        if ATOMS.fullmatch(display) and max(map(len, display.split(" "))) < LINE:
            return tuple(display.split(" "))
        quoted = '"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if used + len(quoted) <= LINE:
            return (quoted,)
    return tuple(encoded_words(display, ENCODED_LINE - used))


def _fold(start: str, words: Iterable[str]) -> str:
    lines: list[str] = []
    line = start
    for word in words:
        if len(line) + 1 + len(word) > LINE and line != start:
            lines.append(line)
            line = " " + word
        else:
            line += " " + word
    return "\r\n".join([*lines, line]) + "\r\n"
