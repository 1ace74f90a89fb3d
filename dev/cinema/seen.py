"""What the service has said on its topics, gathered while the story goes on."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from dev.cinema.dues import ACTIVITY, EPISODE, LETTER, MONTHLY, TIP, WEEKLY
from dev.cinema.facts import counted
from dev.cinema.films import SERIES
from dev.cinema.tail import Entry

NAMED_BY: Final = {
    WEEKLY: "week",
    MONTHLY: "month",
    LETTER: "subject",
    TIP: "campaign_id",
}
SERIES_ID: Final = {series.name: series.series_id for series in SERIES}


class _Job(msgspec.Struct):
    job_id: str
    user_id: str
    channel: str
    kind: str
    locale: str
    to: str
    context: dict[str, Any]


class _Delivery(msgspec.Struct):
    job_id: str
    user_id: str
    channel: str
    kind: str
    status: str
    reason: str


class _InboxEntry(msgspec.Struct):
    job_id: str | None = None
    id: int = 0
    kind: str = ""
    body: str = ""


class _Confirmation(msgspec.Struct):
    user_id: str


class _DeadLetter(msgspec.Struct):
    topic: str
    error: str


@dataclass(frozen=True, slots=True)
class Job:
    """A send job: for whom, of what kind, on what occasion; a month's numbers where it has some."""

    user_id: str
    channel: str
    kind: str
    occasion: str
    locale: str
    to: str
    numbers: tuple[Any, ...] | None


class Status(NamedTuple):
    """The latest word on a notification, and in which step it was said."""

    kind: str
    status: str
    reason: str
    step: int


class Entered(NamedTuple):
    """One entry of a person's inbox."""

    user_id: str
    id: int
    job_id: str
    step: int


FINAL: Final = frozenset({"sent", "skipped", "failed"})


@dataclass(slots=True)
class Seen:
    """Everything that was said; `step` is set by whoever plays the story."""

    step: int = 0
    records: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, Job] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    inbox: list[Entered] = field(default_factory=list)
    confirmed: Counter[str] = field(default_factory=Counter)
    dead: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sent: int = 0

    def hear(self, entry: Entry) -> None:
        """Take in one record."""
        self.records[entry.topic] += 1
        if entry.value is None:
            return
        match entry.topic:
            case "outbox" | "outbox_urgent" | "held":
                self._job(entry.value)
            case "deliveries":
                self._delivery(entry.value)
            case "inbox":
                self._inbox(entry)
            case "confirmations":
                self.confirmed[_CONFIRMATION.decode(entry.value).user_id] += 1
            case "dead_letters":
                letter = _DEAD_LETTER.decode(entry.value)
                self.dead[letter.topic].append(letter.error)

    def _job(self, value: bytes) -> None:
        if b'"kind":"erase"' in value:
            return
        job = _JOB.decode(value)
        if job.job_id not in self.jobs:
            numbers = None
            if job.kind == MONTHLY:
                numbers = _numbers(job.context)
            occasion = _occasion(job.kind, job.context)
            self.jobs[job.job_id] = Job(
                job.user_id, job.channel, job.kind, occasion, job.locale, job.to, numbers
            )

    def _delivery(self, value: bytes) -> None:
        delivery = _DELIVERY.decode(value)
        before = self.statuses.get(delivery.job_id)
        if before is not None and before.status in FINAL:
            return
        self.statuses[delivery.job_id] = Status(
            delivery.kind, delivery.status, delivery.reason, self.step
        )
        self.sent += delivery.status == "sent" and delivery.channel == "email"

    def _inbox(self, entry: Entry) -> None:
        found = _INBOX.decode(entry.value or b"{}")
        if found.job_id is not None:
            self.inbox.append(
                Entered((entry.key or b"").decode(), found.id, found.job_id, self.step)
            )


def _occasion(kind: str, context: dict[str, Any]) -> str:
    """Return what tells this notification from others of its kind, from what it says."""
    if kind == EPISODE:
        name = context["serial_name"]
        return f"{SERIES_ID.get(name, name)}/{context['episode']}"
    if kind == ACTIVITY:
        return counted(context["body"], context.get("count", 1))
    named = NAMED_BY.get(kind)
    return str(context[named]) if named else ""


def _numbers(context: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a monthly report says, in the order of `statistics.py`."""
    genres = tuple((one["genre"], one["films"], one["seconds"]) for one in context["genres"])
    before = context["previous"]
    return (
        context["films"],
        context["seconds"],
        genres,
        context["top_genre"],
        context["streak"],
        before and (before["films"], before["seconds"]),
    )


_JOB: Final = msgspec.json.Decoder(_Job)
_DELIVERY: Final = msgspec.json.Decoder(_Delivery)
_INBOX: Final = msgspec.json.Decoder(_InboxEntry)
_CONFIRMATION: Final = msgspec.json.Decoder(_Confirmation)
_DEAD_LETTER: Final = msgspec.json.Decoder(_DeadLetter)
