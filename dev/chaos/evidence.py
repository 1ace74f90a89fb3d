"""What can be seen from outside, once all is at rest: topics, the mail server's log, HTTP."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import jwt
import msgspec

from dev.chaos import smtp
from dev.chaos.accidents import Accident
from dev.chaos.book import Book, Place
from dev.chaos.marks import marks_in, told_by
from dev.cinema.tail import Entry as Record
from dev.stack import Addresses

# Enough requests at once to keep two workers busy.
AT_ONCE: Final = 16
# What a worker's log says of what it did about its losses.
REFETCHED: Final = re.compile(r"records from offset \d+ were lost on the way")
DECLARED: Final = re.compile(r"job ([0-9a-f]{32}): maybe sent before")


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
    deliveries: defaultdict[str, list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    inbox: list[InboxEntry] = field(default_factory=list)
    letters: dict[Place, list[str]] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    mails: list[smtp.Line] = field(default_factory=list)
    frames: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    live: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    statistics: dict[tuple[str, str], Any] = field(default_factory=dict)
    accidents: list[Accident] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    refetched: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def hear(self, record: Record) -> None:
        """Take in one record of a topic."""
        self.records[record.topic] += 1
        if record.value is None:
            return
        match record.topic:
            case "outbox" | "outbox_urgent" | "held":
                if b'"kind":"erase"' not in record.value:
                    self._job(record.value)
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

    def _job(self, value: bytes) -> None:
        job = _JOB.decode(value)
        known = self.jobs.get(job.job_id)
        if known is None or job.attempt >= known.attempt:
            job.mark = told_by(marks_in(value))
            self.jobs[job.job_id] = job


def read_logs(evidence: Evidence, data: Path) -> None:
    """Add what the mail server and the workers have written down."""
    decode = msgspec.json.Decoder(smtp.Line).decode
    evidence.mails = [decode(line) for line in (data / smtp.LOG).read_bytes().splitlines()]
    for log in [*data.glob("streams-*.log"), *data.glob("sender-*.log")]:
        text = log.read_text(errors="replace")
        evidence.refetched += len(REFETCHED.findall(text))
        evidence.declared.update(DECLARED.findall(text))


async def read_statistics(
    evidence: Evidence, book: Book, http: aiohttp.ClientSession, addresses: Addresses
) -> None:
    """Ask for every month of every person; any worker answers for anybody."""
    wanted = sorted({(one.user_id, one.month) for many in book.watched.values() for one in many})
    headers = {"Authorization": f"Bearer {addresses.api_key}"}
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int, user_id: str, month: str) -> None:
        worker = addresses.streams[number % len(addresses.streams)]
        url = f"{worker}/users/{user_id}/statistics?month={month}"
        async with slots, http.get(url, headers=headers) as response:
            said = await response.json(content_type=None)
            evidence.statistics[user_id, month] = said if response.status == 200 else None

    await asyncio.gather(*(ask(number, *one) for number, one in enumerate(wanted)))


async def read_frames(
    evidence: Evidence, people: Iterable[str], http: aiohttp.ClientSession, addresses: Addresses
) -> None:
    """Read the inboxes of some people over /ws, from the beginning to the end."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int, user_id: str) -> None:
        worker = addresses.sender[number % len(addresses.sender)]
        async with slots, http.ws_connect(f"{worker}/ws") as socket:
            await socket.send_json({"token": token(user_id, addresses), "last_id": 0})
            last = (await socket.receive_json(timeout=10))["last_id"]
            frames: list[tuple[int, str | None]] = []
            while not frames or frames[-1][0] < last:
                frame = await socket.receive_json(timeout=10)
                if frame["type"] == "notification":
                    frames.append((frame["id"], told_by(marks_in(frame["body"].encode()))))
            evidence.frames[user_id] = frames

    await asyncio.gather(*(ask(number, one) for number, one in enumerate(people)))


def token(user_id: str, addresses: Addresses) -> str:
    """Return a token of that person's for an hour."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    return jwt.encode({"sub": user_id, "exp": expires}, addresses.jwt_secret, algorithm="HS256")


_JOB: Final = msgspec.json.Decoder(Job)
_DELIVERY: Final = msgspec.json.Decoder(Delivery)
_ENTRY: Final = msgspec.json.Decoder(_Entry)
_LETTER: Final = msgspec.json.Decoder(_Letter)
