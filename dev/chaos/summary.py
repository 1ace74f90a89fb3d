"""The one line that a run prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec

from dev.chaos.accidents import Accidents
from dev.chaos.book import Book
from dev.chaos.evidence import Evidence
from dev.chaos.repeats import in_flight, repeats
from dev.chaos.verifier import Finding


class Summary(msgspec.Struct, kw_only=True):
    """What was done, what came of it, and how long people waited (seconds).

    `twice` are all copies after a mail's first; of these `twice_unanswered` were taken by a server
    that hung up before it said so, `twice_in_flight` just before a sender fell, and
    `twice_unexcused` are wrong. `maybe_sent` are jobs of which the service itself says that they
    may come twice, `in_flight` all mails taken just before a sender fell: the declared gap.
    `deaths` are workers that ended by themselves, `slowest_end` is what the slowest of those took
    that were asked to (SIGTERM).
    """

    seed: int
    seconds: float
    rate: float
    users: int
    kills: int
    double_kills: int
    stops: int
    deaths: int
    slowest_end: float | None
    broker_outages: int
    redis_outages: int
    events: int
    unsure: int
    repeats_sent: int
    mails_expected: int
    mails_taken: int
    entries_expected: int
    lost: int
    twice: int
    twice_unanswered: int
    twice_in_flight: int
    twice_unexcused: int
    in_flight: int
    maybe_sent: int
    months_checked: int
    wrong_statistics: int
    inboxes_checked: int
    live_frames: int
    orders_checked: int
    wrong_orders: int
    inbox_errors: int
    dead_letters_expected: int
    dead_letters_found: int
    dead_letters_repeated: int
    wrong_dead_letters: int
    unknown: int
    numbers_wrong: int
    refetched: int
    take_over: dict[str, Any]
    take_over_alone: dict[str, Any]
    urgent_gap: float
    drained: bool
    drain_seconds: float
    data: str
    findings: list[str]

    @property
    def holds(self) -> bool:
        """Tell whether the promise was kept."""
        wrong = (
            self.lost,
            self.twice_unexcused,
            self.wrong_orders,
            self.wrong_statistics,
            self.inbox_errors,
            self.wrong_dead_letters,
            self.unknown,
            self.numbers_wrong,
        )
        return self.drained and not any(wrong)


def counted(
    book: Book, evidence: Evidence, accidents: Accidents, findings: Iterable[Finding]
) -> dict[str, Any]:
    """Return the fields that are counts."""
    wrong = Counter(one.what for one in findings)
    copies = list(repeats(evidence))
    excuses = Counter(one.excuse for one in copies)
    kills = sorted(one.at for one in accidents.past if one.what == "kill")
    return {
        "kills": len(kills),
        "double_kills": sum(b - a < 0.1 for a, b in pairwise(kills)),
        "stops": accidents.count("stop"),
        "deaths": accidents.count("death"),
        "broker_outages": sum(one.app == "broker" for one in accidents.past),
        "redis_outages": sum(one.app == "redis" for one in accidents.past),
        "events": len(book.places),
        "unsure": len(book.unsure),
        "repeats_sent": book.repeats,
        "mails_expected": len(book.mails),
        "mails_taken": sum(line.what == "taken" for line in evidence.mails),
        "entries_expected": len(book.entries),
        "lost": wrong["lost"],
        "twice": len(copies),
        "twice_unanswered": excuses["never answered"],
        "twice_in_flight": excuses["in flight"],
        "twice_unexcused": wrong["twice"],
        "in_flight": in_flight(evidence),
        "maybe_sent": len(evidence.declared),
        "months_checked": len(evidence.statistics),
        "wrong_statistics": wrong["statistics"],
        "inboxes_checked": len(evidence.frames),
        "live_frames": sum(map(len, evidence.live.values())),
        "slowest_end": max(
            (round(one.until - one.at, 2) for one in accidents.past if one.what == "end"),
            default=None,
        ),
        "orders_checked": sum(len(offsets) > 1 for offsets in evidence.turns.values()),
        "wrong_orders": wrong["order"],
        "inbox_errors": wrong["inbox"],
        "dead_letters_expected": len(book.refused),
        "dead_letters_found": len(evidence.letters),
        "dead_letters_repeated": sum(len(many) - 1 for many in evidence.letters.values()),
        "wrong_dead_letters": wrong["dead letters"],
        "unknown": wrong["unknown"],
        "numbers_wrong": wrong["numbers"],
        "refetched": evidence.refetched,
    }
