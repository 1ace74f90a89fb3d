"""The dead letters as they lie on their topic: which there are, and which were replayed."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from streams.commands.running import moment
from streams.errors import InvalidRecord
from streams.logs import Logs, Progress
from streams.topics import DEAD_LETTERS

ID: Final = re.compile(r"\d+/\d+")
PLACE: Final = re.compile(r"[a-z_]+/\d+/\d+")


class Heading(msgspec.Struct, frozen=True):
    """What is kept in memory of a dead letter: all but its value, which may be large."""

    topic: str
    partition: int
    offset: int
    length: int
    error: str
    at: datetime
    timestamp: datetime
    origin: str

    @property
    def place(self) -> str:
        """Where the record lay."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def error_class(self) -> str:
        """The class of the error."""
        return self.error.partition(":")[0]


@dataclass(slots=True)
class Letter:
    """A dead letter: its id (`partition/offset` on `dead_letters`), and whether it was replayed."""

    id: str
    heading: Heading
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant: those named, or all that meet what is given.

    A name is a letter's id, or the place or origin of the record. `error` is a class or a part of
    the message.
    """

    names: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        heading = letter.heading
        named = {letter.id, heading.place, heading.origin}
        return (
            (not self.names or not named.isdisjoint(self.names))
            and (not self.topics or heading.topic in self.topics)
            and (self.error is None or self.error.lower() in heading.error.lower())
            and (self.since is None or heading.at >= self.since)
            and (self.until is None or heading.at < self.until)
        )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose letters."""
    parser.add_argument(
        "--topic", action="append", default=[], help="of records of that topic (again for more)"
    )
    parser.add_argument(
        "--error",
        metavar="TEXT",
        help="whose error has that class or says that, such as KeyError or 'time zone'",
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="given up then or later: 2026-11-27, 12h, 3d"
    )
    parser.add_argument("--until", type=moment, metavar="TIME", help="given up before then")


def choice(given: argparse.Namespace) -> Choice:
    """Return what the flags mean; raises InvalidRecord for a name that is none."""
    names = frozenset(getattr(given, "names", ()))
    for name in names:
        if not ID.fullmatch(name) and not PLACE.fullmatch(name):
            raise InvalidRecord(
                f"{name!r} names no dead letter: write 3/17 (its id, as `list` has it) "
                "or activity/3/4711 (where the record lay)"
            )
    return Choice(names, frozenset(given.topic), given.error, given.since, given.until)


async def read(logs: Logs, progress: Progress | None = None) -> list[Letter]:
    """Return all dead letters, by partition and in order; the first of those of one place.

    A kill between a letter and the book behind it leaves a second letter of the same record.
    """
    partitions = await logs.partitions(DEAD_LETTERS.name)
    found: dict[str, Letter] = {}
    async for records in logs.read(partitions, progress=progress):
        for record in records:
            name = (record.key or b"").decode(errors="replace")
            if record.value is None:
                if name in found:
                    found[name].replayed = True
                continue
            heading = decode_heading(record.value)
            found.setdefault(heading.place, Letter(f"{record.partition}/{record.offset}", heading))
    order = {letter.id: tuple(map(int, letter.id.split("/"))) for letter in found.values()}
    return sorted(found.values(), key=lambda letter: order[letter.id])


def missing(names: Iterable[str], letters: Iterable[Letter]) -> list[str]:
    """Return the names that none of the letters has."""
    known = {name for one in letters for name in (one.id, one.heading.place, one.heading.origin)}
    return sorted(set(names) - known)


decode_heading: Final = msgspec.json.Decoder(Heading).decode
