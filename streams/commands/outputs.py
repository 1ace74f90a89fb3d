"""The jobs and what became of them, as the topics say it: each id once, by its latest status."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiokafka import ConsumerRecord

from streams.commands.books import Books
from streams.dead_letters import place
from streams.jobs import FINAL_STATUSES, STATUSES, InboxEntry, decode_inbox
from streams.kinds import WEBSOCKET

QUEUED: Final = "queued"
TERMS: Final = (QUEUED, *STATUSES)
NEVER: Final = datetime.fromtimestamp(0, UTC)


class _Job(msgspec.Struct):
    """What is asked of a record of an outbox, `held` or `deliveries`."""

    kind: str
    job_id: str = ""
    channel: str = ""
    status: str = QUEUED
    attempt: int = 0
    at: datetime | None = None


@dataclass(slots=True)
class State:
    """What is known of one job id: `first` and `last` in Unix ms, and where it was last seen."""

    kind: str
    channel: str
    first: int
    last: int
    place: str
    is_job: bool
    status: str = QUEUED
    attempt: int = -1
    at: datetime = NEVER


@dataclass(slots=True)
class Jobs:
    """The job ids of `outbox`, `outbox_urgent`, `held` and `deliveries`."""

    states: dict[bytes, State] = field(default_factory=dict)
    entries: dict[bytes, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def hear(self, record: ConsumerRecord) -> None:
        """Take in one record of these topics."""
        try:
            said = _decode(record.value or b"")
        except msgspec.DecodeError:
            # The sender makes it a dead letter.
            return
        if not said.job_id:
            return
        key = _key(said.job_id)
        is_job = said.at is None
        known = self.states.get(key)
        if known is None:
            known = self.states[key] = State(
                said.kind, said.channel, record.timestamp, record.timestamp, place(record), is_job
            )
        known.is_job = known.is_job or is_job
        known.first = min(known.first, record.timestamp)
        if record.timestamp >= known.last:
            known.last, known.place = record.timestamp, place(record)
        if said.at is not None and _follows(known, said, said.at):
            known.status, known.attempt, known.at = said.status, said.attempt, said.at

    def enter(self, record: ConsumerRecord) -> None:
        """Take in one record of `inbox`."""
        try:
            said = decode_inbox(record.value or b"")
        except msgspec.DecodeError:
            self.wrong.append(f"{place(record)}: cannot be read")
            return
        if not isinstance(said, InboxEntry):
            return
        # After a kill an entry may be written again, as it was.
        before = self.entries.setdefault(_key(said.job_id), said.id)
        if before != said.id:
            self.wrong.append(f"job {said.job_id}: is in the inbox twice ({before} and {said.id})")

    def within(self, since: datetime | None, until: datetime | None) -> None:
        """Keep the jobs that were first seen in that time."""
        low = 0 if since is None else int(since.timestamp() * 1000)
        high = float("inf") if until is None else until.timestamp() * 1000
        self.states = {key: one for key, one in self.states.items() if low <= one.first < high}

    def counts(self) -> dict[str, Counter[str]]:
        """Return how many ids have which status, by kind."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for state in self.states.values():
            found[state.kind][state.status] += 1
        return dict(sorted(found.items()))

    def compare(self, before: Books, after: Books) -> Iterator[str]:
        """Yield the kinds whose ids lie outside of two readings of the books, around this one.

        A job is on its topic before it is in the book, so the first book never has more.
        """
        ids = Counter({kind: found.total() for kind, found in self.counts().items()})
        low, high = before.jobs(), after.jobs()
        for kind in sorted({*ids, *high}):
            if not low[kind] <= ids[kind] <= high[kind]:
                booked = f"{low[kind]}" if low[kind] == high[kind] else f"{low[kind]}-{high[kind]}"
                yield f"{kind}: {ids[kind]} job ids are on the topics, the books say {booked}"

    def stuck(self, now: datetime, patience: timedelta, *books: Books) -> Iterator[str]:
        """Yield the jobs that are not at their end, rest nowhere, and have not moved for long."""
        limit = (now - patience).timestamp() * 1000
        for key, state in self.states.items():
            if state.status in FINAL_STATUSES:
                continue
            name = _name(key)
            rests = next((one.resting[name] for one in books if name in one.resting), None)
            if rests is not None:
                row = books[-1].of.get(rests[0])
                tick = None if row is None or row.tick is None else row.tick
                if tick is not None and (rests[1] + patience).timestamp() < tick:
                    yield f"job {name} ({state.kind}): was due at {rests[1].isoformat()}, and rests"
            elif state.last < limit:
                moved = datetime.fromtimestamp(state.last / 1000, UTC)
                yield (
                    f"job {name} ({state.kind}): is {state.status}, rests nowhere, and was last "
                    f"seen at {state.place} at {moved:%Y-%m-%d %H:%M}"
                )

    def unfounded(self) -> Iterator[str]:
        """Yield what was sent and is not there. Everything since the beginning was heard."""
        for key, state in self.states.items():
            if not state.is_job and state.status in ("sent", "failed", "retrying"):
                yield f"job {_name(key)} ({state.kind}): is {state.status}, and was never made"
            if state.status == "sent" and state.channel == WEBSOCKET and key not in self.entries:
                yield f"job {_name(key)} ({state.kind}): is sent, and in no inbox"


def line(kind: str, found: Counter[str]) -> str:
    """Return a kind's equation in one line."""
    terms = " + ".join(f"{found[status]} {status}" for status in TERMS)
    return f"{kind:18} {found.total():>9} = {terms}"


def _follows(known: State, said: _Job, at: datetime) -> bool:
    if known.status in FINAL_STATUSES:
        return False
    return said.status in FINAL_STATUSES or (said.attempt, at) > (known.attempt, known.at)


def _key(job_id: str) -> bytes:
    """Return a job id in half the memory, where it is a hash in hex."""
    try:
        return b"\x00" + bytes.fromhex(job_id)
    except ValueError:
        return job_id.encode()


def _name(key: bytes) -> str:
    return key[1:].hex() if key.startswith(b"\x00") else key.decode()


_decode: Final = msgspec.json.Decoder(_Job).decode
