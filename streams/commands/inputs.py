"""The records that came in, each accounted for by what lies on the topics beside it.

What is asked of a record: a dead letter of its place holds its bytes; one that had to be sent on
has its copies; one that no schema takes has a letter. What is left was applied, decided or a
duplicate, which of these only the partition's book can tell: its numbers must be those counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiokafka import ConsumerRecord

from agents import AGENTS
from streams.commands.books import Books
from streams.dead_letters import place
from streams.routing import INPUT_ERRORS, ORIGIN, REPLAY, route
from streams.topics import CLOCK, TOPICS
from tables.counts import OUTCOMES

_AGENTS: Final = {agent.topic.name: agent for agent in AGENTS}
# The outcomes that leave nothing of their own on a topic.
SILENT: Final = ("applied", "decided", "duplicate")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a dead letter says of its record: bytes of the value and their SHA-256."""

    id: str
    length: int
    sha256: str


@dataclass(slots=True)
class Ledger:
    """The records of one topic, by partition and how they ended."""

    topic: str
    partitions: int
    letters: Mapping[str, Kept]
    counts: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)
    _copies: set[tuple[str, int]] = field(default_factory=set)
    _wanted: dict[tuple[str, int], str] = field(default_factory=dict)

    def hear(self, record: ConsumerRecord, processed: bool) -> None:
        """Take in one record; one that is not processed yet is heard as a copy alone."""
        headers = dict(record.headers or ())
        if ORIGIN in headers and REPLAY not in headers:
            self._copies.add(((headers[ORIGIN] or b"").decode(errors="replace"), record.partition))
        if processed:
            self.counts[record.partition][self._outcome(record)] += 1

    def _outcome(self, record: ConsumerRecord) -> str:
        name = place(record)
        if (letter := self.letters.get(name)) is not None:
            value = record.value or b""
            if (letter.length, letter.sha256) != (len(value), hashlib.sha256(value).hexdigest()):
                self.wrong.append(f"{name}: dead letter {letter.id} holds other bytes")
            return "dead"
        if self.topic == CLOCK.name:
            return "kept"
        try:
            routed = route(record, _AGENTS[self.topic], self.partitions)
        except INPUT_ERRORS as error:
            self.wrong.append(
                f"{name}: cannot be read ({type(error).__name__}), and no dead letter is of it"
            )
            return "kept"
        if not routed.forward:
            return "kept"
        for copy in routed.forward:
            origin = (dict(copy.headers)[ORIGIN]).decode()
            self._wanted[origin, copy.partition or 0] = name
        return "forwarded"

    def finish(self) -> None:
        """Say which copies are missing, when everything was heard."""
        for (origin, partition), name in self._wanted.items():
            if (origin, partition) not in self._copies:
                self.wrong.append(f"{name}: no copy of it is in partition {partition}")

    def compare(self, books: Books) -> Iterator[str]:
        """Yield where a book says otherwise. Everything since the beginning was heard."""
        compacted = TOPICS[self.topic].compacted
        for partition in range(self.partitions):
            row = books.of.get(partition)
            booked = Counter(row.records.get(self.topic, {}) if row is not None else {})
            booked["kept"] = sum(booked[outcome] for outcome in SILENT)
            heard = self.counts[partition]
            for outcome in ("dead", "forwarded", "kept"):
                # Compaction takes records whose outcome stays in the book.
                if heard[outcome] > booked[outcome] or (
                    not compacted and heard[outcome] != booked[outcome]
                ):
                    what = "applied, decided or duplicate" if outcome == "kept" else outcome
                    yield (
                        f"{self.topic}/{partition}: {heard[outcome]} records are {what}, "
                        f"the book says {booked[outcome]}"
                    )

    def line(self, books: Books | None, waiting: int) -> str:
        """Return the equation in one line; with the books, where these can be compared."""
        heard: Counter[str] = sum(self.counts.values(), Counter())
        if books is None:
            by = {"dead": heard["dead"], "forwarded": heard["forwarded"], "others": heard["kept"]}
            total = heard.total()
        else:
            booked = books.records(self.topic)
            by = {outcome: booked[outcome] for outcome in OUTCOMES}
            total = sum(by.values())
        terms = " + ".join(f"{number} {outcome}" for outcome, number in by.items())
        return f"{self.topic:18} {total:>9} = {terms}; {waiting} not processed yet"
