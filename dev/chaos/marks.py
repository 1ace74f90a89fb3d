"""A mark in each event's text: what comes out of the service says by it what went in."""

from __future__ import annotations

import re
from typing import Final

# Letters and digits alone: no template, header or transfer encoding changes them.
MARK: Final = re.compile(rb"zq[pleask]\d{7}z")
# Quoted-printable breaks lines anywhere (RFC 2045, 6.7).
SOFT_BREAK: Final = b"=\r\n"


def mark(kind: str, number: int) -> str:
    """Return the mark of the event of that number; `kind` is one letter.

    p: a person (in the name, and so in many mails), l: a letter, e: an episode, a: an activity,
    s: an episode that is told to followers, k: an episode of the last reckoning.
    """
    return f"zq{kind}{number:07d}z"


def marks_in(content: bytes) -> list[str]:
    """Return the marks that a text holds, each once."""
    found = MARK.findall(content.replace(SOFT_BREAK, b""))
    return [one.decode() for one in dict.fromkeys(found)]


def told_by(marks: list[str]) -> str | None:
    """Return the mark of the event that a text is about: a person's own only where it is alone."""
    about = [one for one in marks if one[2] != "p"]
    return about[0] if about else marks[0] if marks else None
