"""Mails that came more than once, and whether the declared gap covers them.

The gap: a mail that the server has taken and that the worker was killed before it could note. It is
sent again under the same Message-ID. Two things excuse a copy: nobody was told that the one before
it was taken (the connection ended first), or a sender fell right after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from dev.chaos.accidents import Accident
from dev.chaos.evidence import Evidence
from dev.chaos.maillog import Line

# Seconds between the server's answer and the note of it in the ledger: milliseconds on an idle
# machine; here four workers, a JVM and this share two cores.
NOTED_WITHIN: Final = 1.0
# Seconds after a fall in which the server still takes what had come to it before.
TAKEN_WITHIN: Final = 1.0
# Seconds from the moment in which a worker that ends by itself does its last work to its successor.
ENDS_WITHIN: Final = 3.0
# While Redis is away nothing can be noted, and after it calls run into their timeout (5 s).
REDIS_BACK: Final = 6.0

Excuse = Literal["never answered", "in flight"]


class Repeat(NamedTuple):
    """A copy that came again, when it and the one before it came, and what excuses it."""

    message_id: str
    to: str
    first: float
    second: float
    excuse: Excuse | None
    declared: bool


def repeats(evidence: Evidence) -> Iterator[Repeat]:
    """Yield every copy after a mail's first."""
    copies: defaultdict[str, list[Line]] = defaultdict(list)
    for line in evidence.mails:
        if line.what == "taken":
            copies[line.message_id].append(line)
    falls = list(_falls(evidence.accidents))
    for message_id, lines in copies.items():
        lines.sort(key=lambda line: line.at)
        for one, again in pairwise(lines):
            excuse: Excuse | None = None
            if not one.said:
                excuse = "never answered"
            elif any(begin <= one.at <= end for begin, end in falls):
                excuse = "in flight"
            declared = message_id in evidence.declared
            yield Repeat(message_id, one.to, one.at, again.at, excuse, declared)


def in_flight(evidence: Evidence) -> int:
    """Return how many mails the server took so shortly before a sender fell."""
    falls = list(_falls(evidence.accidents))
    return sum(
        1
        for line in evidence.mails
        if line.what == "taken" and any(begin <= line.at <= end for begin, end in falls)
    )


def _falls(accidents: list[Accident]) -> Iterator[tuple[float, float]]:
    """Yield the spans in which a mail that was taken may not have been noted.

    Who is asked to end has the time to note what it did, and who goes on after a stop, too.
    """
    for fall in accidents:
        if fall.app != "sender" or fall.what not in ("kill", "death"):
            continue
        begin = fall.at - (NOTED_WITHIN if fall.what == "kill" else ENDS_WITHIN)
        for other in accidents:
            still = other.until >= fall.at - ENDS_WITHIN
            stopped = other.what == "stop" and other.pid == fall.pid and still
            away = other.app == "redis" and other.at <= fall.at <= other.until + REDIS_BACK
            if stopped or away:
                begin = min(begin, other.at - NOTED_WITHIN)
        yield begin, fall.until + TAKEN_WITHIN
