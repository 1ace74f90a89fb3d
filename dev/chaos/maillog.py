"""The mail server's log: the truth about mails, written down before anybody is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from dev.chaos.faults import Stage

NAME: Final = "smtp.jsonl"


class Line(msgspec.Struct, omit_defaults=True):
    """One line of the log: a mail that was taken, refused, or cut off, and where.

    `said` is whether the sender was told of it: a mail can be taken on a connection that ends
    before the answer. `number` stands in each reply but the good one, and so in the reason that the
    service gives.
    """

    at: float
    what: Literal["taken", "refused", "dropped"]
    to: str = ""
    number: int = 0
    stage: Stage = "end of data"
    code: str = ""
    said: bool = True
    message_id: str = ""
    marks: list[str] = []


class Log:
    """Lines in a file, each there before the next thing is done."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: Line) -> None:
        """Write one line, whole."""
        os.write(self._file, msgspec.json.encode(line) + b"\n")


def read(data: Path) -> Iterator[Line]:
    """Yield the lines of a run's log."""
    decode = msgspec.json.Decoder(Line).decode
    for line in (data / NAME).read_bytes().splitlines():
        yield decode(line)
