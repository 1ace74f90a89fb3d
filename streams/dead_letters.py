"""What becomes of a record that cannot be used: it is kept, with its bytes and the reason.

A letter holds what a replay needs (streams/commands/replaying.py). Its key is the record's place; a
null with that key behind it says that it was replayed.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime
from itertools import islice
from traceback import walk_tb
from typing import Final

from aiokafka import ConsumerRecord

from streams.jobs import DeadLetter, encode
from streams.records import Output, timestamp
from streams.topics import DEAD_LETTERS, MIB

# The packages whose frames say something to whoever mends it.
OURS: Final = frozenset({"streams", "agents", "tables", "sender"})
# From the decision's own frame outwards; those further out are the same for every letter.
FRAMES: Final = 6


def dead_letter(record: ConsumerRecord, error: Exception, at: datetime, origin: str) -> Output:
    """Return the dead letter of a record that could not be used."""
    value = record.value
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=_text(record.key),
        value=None if value is None else _text(value[:MIB]),
        length=len(value or b""),
        sha256=hashlib.sha256(value or b"").hexdigest(),
        error=f"{type(error).__name__}: {error}",
        stack=_stack(error),
        at=at,
        timestamp=timestamp(record),
        headers={name: _text(body) for name, body in record.headers or ()},
        origin=origin,
    )
    return Output(DEAD_LETTERS, place(record), encode(letter), record.partition)


def place(record: ConsumerRecord) -> str:
    """Return where a record lies, as `cinema-origin` has it."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def _text(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()


def _stack(error: Exception) -> list[str]:
    """Return our frames, the innermost first: module, line and function, never a value."""
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__)]
    ours = (
        f"{name}:{line} {frame.f_code.co_qualname}"
        for frame, line in reversed(frames)
        if (name := str(frame.f_globals.get("__name__", ""))).partition(".")[0] in OURS
    )
    return list(islice(ours, FRAMES))
