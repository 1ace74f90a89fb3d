"""What goes wrong on the way in: records repeated, misplaced, without a key, or of no use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from dev.cinema.plot import A_DAY
from dev.cinema.records import Record
from streams.partitions import partition_of

# One in so many of the records that this can happen to.
TWICE: Final = 30
ELSEWHERE: Final = 25
KEYLESS: Final = 40
# The service knows an event again for seven days.
REPEATED_WITHIN: Final = 5 * A_DAY
PERSONAL: Final = frozenset({"watch_history", "bookmarks", "activity", "registration"})

_BIG: Final = b'{"user_id": "u0001", "body": "' + b"a" * (1 << 20) + b'"}'
_AT: Final = b'"at": "2026-01-01T00:00:00Z"}'
# (topic, key, value): not one of them can be used.
USELESS: Final[tuple[tuple[str, str | None, bytes], ...]] = (
    ("users", "u0001", b"not JSON"),
    ("users", "u0002", b'{"user_id": "u0002", "email": "a@mail.example", "timezone": "Mars/Base"}'),
    ("registration", None, b'{"event": "send_flowers", "email": "a@mail.example"}'),
    ("registration", None, b'{"event": "send_greeting", "email": "a@mail.example"}'),
    ("registration", None, b'{"event": "send_greeting", "email": "a\\r\\nb@c", "username": "A"}'),
    ("watch_history", "u0001", b'{"user_id": "u0001", "film_id": "wings-1927"'),
    ("watch_history", "u0001", b'{"user_id": "u0001", "film_id": "x", "seconds": [], ' + _AT),
    ("watch_history", "u0001", b'{"user_id": "u0001", "seconds": 60, ' + _AT),
    ("bookmarks", "u0001", b'{"user_id": "u0001", "series_id": "les-vampires", "added": "yes"}'),
    ("episodes", None, b'{"serial_name": "Judex", "link": "https://cinema.example/series/judex"}'),
    ("letters", None, b'{"subject": "Empty", "to": "a@mail.example"}'),
    ("letters", None, b'{"subject": "Lost", "text": "Hello", "to": "nobody"}'),
    ("monthly_statistic", None, b'{"event": "send_statistic", "month": "2026-13"}'),
    ("weekly_reminder", None, b'{"event": "send_reminders"}'),
    ("preferences", "u0001", b'{"user_id": "u0001", "quiet_hours": {"from": "25:00", "to": "9"}}'),
    ("campaigns", "broken", b'{"campaign_id": "broken", "kind": "tip", "cron": "every day"}'),
    ("activity", "u0001", b'{"user_id": "u0001"}'),
    ("activity", "u0001", _BIG),
)  # fmt: skip


@dataclass(slots=True)
class Expected:
    """How many accidents of each sort there are, by topic."""

    dead: Counter[str] = field(default_factory=Counter)
    duplicate: Counter[str] = field(default_factory=Counter)
    forwarded: Counter[str] = field(default_factory=Counter)


class Accidents:
    """Lets things happen to records; `last` gives the last step in which a person is there."""

    def __init__(self, seed: int, partitions: int, steps: int, last: dict[str, int]) -> None:
        self.random = Random(f"accidents {seed}")
        self.partitions = partitions
        self.steps = steps
        self.last = last
        self.expected = Expected()

    def happen(self, step: int, record: Record) -> Iterator[tuple[int, Record]]:
        """Yield the record as it is really sent, and its repetition, each with its step."""
        if record.topic not in PERSONAL:
            yield step, record
            return
        if record.key is None:
            # It names nobody and is for everyone: it becomes a record to each partition.
            self.expected.forwarded[record.topic] += 1
            yield step, record
            return
        yield step, self._astray(record)
        assert record.value is not None
        if b'"event_id"' in record.value and self.random.randrange(TWICE) == 0:
            again = step + self.random.randrange(REPEATED_WITHIN)
            if again < min(self.steps, self.last.get(record.key, self.steps)):
                self.expected.duplicate[record.topic] += 1
                yield again, self._astray(record)

    def useless(self) -> Iterator[tuple[int, str, str | None, bytes]]:
        """Yield (step, topic, key, value) of records that cannot be used, over the whole story."""
        for number, (topic, key, value) in enumerate(USELESS):
            self.expected.dead[topic] += 1
            yield 2 + number * (self.steps - 4) // len(USELESS), topic, key, value

    def _astray(self, record: Record) -> Record:
        assert record.key is not None
        home = partition_of(record.key, self.partitions)
        if self.random.randrange(ELSEWHERE) == 0:
            partition = (home + 1 + self.random.randrange(self.partitions - 1)) % self.partitions
            self.expected.forwarded[record.topic] += 1
            return replace(record, partition=partition)
        if self.random.randrange(KEYLESS) == 0:
            partition = self.random.randrange(self.partitions)
            self.expected.forwarded[record.topic] += partition != home
            return replace(record, key=None, partition=partition)
        return record
