"""What can be seen from outside, once all is at rest: topics, the mail server's log, HTTP."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from dev.chaos.accidents import Accident
from dev.chaos.maillog import Line
from dev.chaos.marks import marks_in, told_by
from dev.chaos.wants import Place
from dev.cinema.tail import Entry as Record


class Job(msgspec.Struct):
    """A send job, as the topics have it; `not_before` is the last one that `held` says."""

    job_id: str
    user_id: str
    channel: str
    kind: str
    to: str
    cause: dict[str, Any]
    attempt: int = 0
    not_before: datetime | None = None
    mark: str | None = None


class Delivery(msgspec.Struct):
    """What was said of a job, or of one that was decided against (without a channel)."""

    job_id: str
    user_id: str
    channel: str
    kind: str
    status: str
    reason: str
    attempt: int


class InboxEntry(NamedTuple):
    """An entry of an inbox."""

    user_id: str
    id: int
    job_id: str
    mark: str | None


class Turn(NamedTuple):
    """Whose events of which topic became jobs of which lane, without having been sent on."""

    lane: str
    user_id: str
    topic: str


class _Letter(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    error: str


class _Entry(msgspec.Struct):
    id: int | None = None
    job_id: str = ""
    body: str = ""


@dataclass(slots=True)
class Evidence:
    """Everything that the verifier looks at."""

    jobs: dict[str, Job] = field(default_factory=dict)
    #: The events whose jobs came on a lane, in the order in which they came first.
    turns: defaultdict[Turn, list[Place]] = field(default_factory=lambda: defaultdict(list))
    deliveries: defaultdict[str, list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    inbox: list[InboxEntry] = field(default_factory=list)
    letters: dict[Place, list[str]] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    mails: list[Line] = field(default_factory=list)
    frames: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    live: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    statistics: dict[tuple[str, str], Any] = field(default_factory=dict)
    accidents: list[Accident] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    refetched: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _came: set[tuple[str, str]] = field(default_factory=set)

    def hear(self, record: Record) -> None:
        """Take in one record of a topic."""
        self.records[record.topic] += 1
        if record.value is None:
            return
        match record.topic:
            case "outbox" | "outbox_urgent" | "held":
                if b'"kind":"erase"' not in record.value:
                    self._job(record)
            case "deliveries":
                delivery = _DELIVERY.decode(record.value)
                self.deliveries[delivery.job_id].append(delivery)
            case "inbox":
                entry = _ENTRY.decode(record.value)
                if entry.id is not None:
                    mark = told_by(marks_in(record.value))
                    user_id = (record.key or b"").decode()
                    self.inbox.append(InboxEntry(user_id, entry.id, entry.job_id, mark))
            case "dead_letters":
                letter = _LETTER.decode(record.value)
                place = Place(letter.topic, letter.partition, letter.offset)
                self.letters.setdefault(place, []).append(letter.error)

    def _job(self, record: Record) -> None:
        value = record.value or b""
        job = _JOB.decode(value)
        lane, cause = (record.topic, job.job_id), job.cause
        # What was sent on from another partition has no place among those of this one, and what is
        # tried again comes when it may.
        here = record.topic != "held" and cause["partition"] == record.partition
        if here and lane not in self._came:
            turn = Turn(record.topic, job.user_id, cause["topic"])
            self.turns[turn].append(Place(cause["topic"], cause["partition"], cause["offset"]))
        self._came.add(lane)
        known = self.jobs.get(job.job_id)
        if known is None or job.attempt >= known.attempt:
            job.mark = told_by(marks_in(value))
            self.jobs[job.job_id] = job


_JOB: Final = msgspec.json.Decoder(Job)
_DELIVERY: Final = msgspec.json.Decoder(Delivery)
_ENTRY: Final = msgspec.json.Decoder(_Entry)
_LETTER: Final = msgspec.json.Decoder(_Letter)
