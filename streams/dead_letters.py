"""What becomes of a record that cannot be used: it is kept, with its bytes and the reason."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime

from aiokafka import ConsumerRecord

from streams.jobs import DeadLetter, encode
from streams.records import Output
from streams.topics import DEAD_LETTERS, MIB


def dead_letter(record: ConsumerRecord, error: Exception, at: datetime, origin: str) -> Output:
    """Return the dead letter of a record that could not be used."""
    value = record.value
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=None if record.key is None else b64encode(record.key).decode(),
        value=None if value is None else b64encode(value[:MIB]).decode(),
        length=len(value or b""),
        sha256=hashlib.sha256(value or b"").hexdigest(),
        error=f"{type(error).__name__}: {error}",
        at=at,
        origin=origin,
    )
    return Output(DEAD_LETTERS, None, encode(letter), record.partition)
