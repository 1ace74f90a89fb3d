"""Sending what dead letters hold to where it came from, under its own name and time.

A replay is no second event: it carries the identity that the record had (`cinema-origin`), so what
was decided before is not decided again, and jobs keep their ids. Behind a letter whose record
Kafka has acknowledged goes a null with its key: it was replayed. A kill between the two leaves a
letter that will be replayed again, which changes nothing.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime
from typing import Final

from aiokafka import TopicPartition

from streams.commands.letters import Letter
from streams.commands.running import printable
from streams.commands.writing import Raw, Write
from streams.jobs import DeadLetter, decode_dead_letter
from streams.logs import Logs, Progress
from streams.routing import ORIGIN, REPLAY
from streams.topics import DEAD_LETTERS, MIB, RETENTION, TOPICS

# Sent and marked together: what a kill repeats at most.
TOGETHER: Final = 100


def refusal(letter: Letter, now: datetime, superseded: Collection[str], force: bool) -> str | None:
    """Return why a letter is not replayed, None if it is; `force` lifts what can be lifted."""
    heading = letter.heading
    if heading.topic not in TOPICS:
        return f"there is no topic {heading.topic} any more"
    if heading.length > MIB:
        return f"its {heading.length} bytes were cut to 1 MiB: its producer must send it again"
    if force:
        return None
    if letter.replayed:
        return "it was replayed before (--force replays it again)"
    if letter.id in superseded:
        return "its topic has a newer record of the same key (--force puts the old one over it)"
    if heading.timestamp < now - RETENTION:
        return (
            f"its record is of {heading.timestamp:%Y-%m-%d}, and of what was sent the ledger "
            f"remembers {RETENTION.days} days: a mail may come twice (--force replays it)"
        )
    return None


async def superseded(
    logs: Logs, letters: Iterable[Letter], progress: Progress | None = None
) -> frozenset[str]:
    """Return the ids of letters whose compacted topic has a newer record of the same key."""
    wanted: dict[tuple[TopicPartition, bytes], list[Letter]] = {}
    by_place = {
        letter.heading.place: letter
        for letter in letters
        if letter.heading.topic in TOPICS and TOPICS[letter.heading.topic].compacted
    }
    begins: dict[TopicPartition, int] = {}
    async for found in _whole(logs, by_place, progress):
        letter = by_place[_place(found)]
        tp = TopicPartition(found.topic, found.partition)
        wanted.setdefault((tp, b64decode(found.key or "")), []).append(letter)
        begins[tp] = min(begins.get(tp, found.offset + 1), found.offset + 1)
    older: set[str] = set()
    ends = await logs.ends(list(begins)) if begins else {}
    ends = {tp: max(end, begins[tp]) for tp, end in ends.items()}
    async for records in logs.read(list(begins), begins, ends, progress):
        for record in records:
            tp = TopicPartition(record.topic, record.partition)
            origin = dict(record.headers).get(ORIGIN, b"").decode(errors="replace")
            older.update(
                letter.id
                for letter in wanted.get((tp, record.key or b""), ())
                # Its own replay is no newer record.
                if record.offset > letter.heading.offset and origin != letter.heading.origin
            )
    return frozenset(older)


async def replay(
    logs: Logs, letters: Collection[Letter], write: Write, progress: Progress | None = None
) -> int:
    """Send the letters' records and mark the letters; return how many that were."""
    by_place = {letter.heading.place: letter for letter in letters}
    part: list[DeadLetter] = []
    sent = 0
    async for found in _whole(logs, by_place, progress):
        part.append(found)
        if len(part) == TOGETHER:
            sent += await _send(part, by_place, write)
            part = []
    return sent + await _send(part, by_place, write)


async def _send(part: list[DeadLetter], by_place: dict[str, Letter], write: Write) -> int:
    await write(record(found, by_place[_place(found)].id) for found in part)
    await write(_mark(found) for found in part)
    return len(part)


def record(letter: DeadLetter, name: str) -> Raw:
    """Return the record that a letter is of, as it is sent again.

    One that was sent on keeps its headers. One that was not yet gets its identity, and the mark
    that it may still be sent on to wherever it belongs.
    """
    headers = [
        (key, b64decode(value)) for key, value in letter.headers.items() if value is not None
    ]
    if ORIGIN not in letter.headers:
        headers += [(ORIGIN, letter.origin.encode()), (REPLAY, name.encode())]
    return Raw(
        letter.topic,
        None if letter.key is None else b64decode(letter.key),
        None if letter.value is None else b64decode(letter.value),
        letter.partition,
        headers,
        int(letter.timestamp.timestamp() * 1000),
    )


def _mark(letter: DeadLetter) -> Raw:
    return Raw(DEAD_LETTERS.name, _place(letter).encode(), None, letter.partition)


def _place(letter: DeadLetter) -> str:
    return f"{letter.topic}/{letter.partition}/{letter.offset}"


async def _whole(
    logs: Logs, by_place: dict[str, Letter], progress: Progress | None
) -> AsyncIterator[DeadLetter]:
    """Yield those letters with their values, in the order in which they lie on the topic."""
    wanted = {tuple(map(int, letter.id.split("/"))) for letter in by_place.values()}
    partitions = [
        TopicPartition(DEAD_LETTERS.name, number) for number in sorted({one[0] for one in wanted})
    ]
    async for records in logs.read(partitions, progress=progress):
        for found in records:
            if (found.partition, found.offset) in wanted:
                yield decode_dead_letter(found.value)


def intact(letter: DeadLetter) -> bool:
    """Tell whether the value is the record's whole value."""
    value = b64decode(letter.value or "")
    return hashlib.sha256(value).hexdigest() == letter.sha256


def shown(letter: DeadLetter) -> str:
    """Return a letter's value as a terminal may show it."""
    if letter.value is None:
        return "(null)"
    value = b64decode(letter.value)
    try:
        return printable(value.decode(), also="\n\t")
    except UnicodeDecodeError:
        return f"(not UTF-8) {value[:256]!r}"
