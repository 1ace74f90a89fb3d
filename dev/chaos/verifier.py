"""Holds the book against the evidence. Pure: both are given, and what is wrong comes out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from dev.chaos.book import Book
from dev.chaos.evidence import Evidence, Job
from dev.chaos.marks import told_by
from dev.chaos.months import month_of
from dev.chaos.refusals import Refusals
from dev.chaos.repeats import repeats
from dev.chaos.wants import Entry, Mail
from streams.jobs import FINAL_STATUSES

What = Literal[
    "lost", "twice", "order", "statistics", "inbox", "dead letters", "unknown", "numbers"
]
# Topics whose events name each person they are about.
BY_NAME: Final = frozenset({"registration", "activity", "letters"})


class Finding(NamedTuple):
    """One thing that is wrong, with what is needed to look for it."""

    what: What
    text: str


def verify(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield everything that is wrong."""
    yield from mails(book, evidence)
    yield from outcomes(evidence)
    yield from twice(evidence)
    yield from order(book, evidence)
    yield from inboxes(book, evidence)
    yield from sockets(book, evidence)
    yield from statistics(book, evidence)
    yield from dead_letters(book, evidence)
    yield from skips(book, evidence)


def mails(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield the mails that did not come for no good reason, and those that nobody ordered."""
    came: defaultdict[Mail, set[str]] = defaultdict(set)
    for line in evidence.mails:
        if line.what == "taken":
            found = Mail(told_by(line.marks) or "", line.to)
            came[found].add(line.message_id)
            if found not in book.mails and not book.excused(line.marks):
                yield Finding("unknown", f"{line.message_id} to {line.to}: a mail nobody ordered")
    jobs: defaultdict[Mail, list[Job]] = defaultdict(list)
    for job in evidence.jobs.values():
        if job.channel == "email":
            jobs[Mail(job.mark or "", job.to)].append(job)
    refusals = Refusals(evidence)
    for mail, place in book.mails.items():
        ids = came.get(mail, set())
        if len(ids) > 1:
            yield Finding("twice", f"{mail} of {place}: as {sorted(ids)}")
        if ids:
            continue
        if not jobs[mail]:
            yield Finding("lost", f"{mail} of {place}: no job was made")
        for job in jobs[mail]:
            if why := refusals.unexplained(job, evidence.deliveries[job.job_id]):
                yield Finding("lost", f"{mail} of {place}: job {job.job_id} {why}")


def outcomes(evidence: Evidence) -> Iterator[Finding]:
    """Yield the jobs that have no outcome."""
    refusals = Refusals(evidence)
    for job in evidence.jobs.values():
        said = evidence.deliveries.get(job.job_id, [])
        final = any(one.status in FINAL_STATUSES for one in said)
        if not final and not (said and refusals.is_to_come(job)):
            last = said[-1].status if said else "nothing"
            yield Finding("lost", f"job {job.job_id} ({job.kind}): {last} is all that is said")


def twice(evidence: Evidence) -> Iterator[Finding]:
    """Yield the mails that came again though nothing excuses it."""
    for repeat in repeats(evidence):
        if repeat.excuse is None:
            yield Finding(
                "twice",
                f"{repeat.message_id} to {repeat.to}: taken at {repeat.first:.3f} "
                f"and again at {repeat.second:.3f}",
            )


def order(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield the people whose jobs came in another order than their events of the same topic.

    What a walk says has no order: two of them take turns, and the later may be the faster. Nor has
    a letter to several people, which is sent on, to its own partition as well.
    """
    for turn, places in evidence.turns.items():
        offsets = [place.offset for place in places if not book.is_shared(place)]
        if turn.topic in BY_NAME and any(later < earlier for earlier, later in pairwise(offsets)):
            yield Finding("order", f"{turn}: the jobs of the events at {offsets}")


def inboxes(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield what is wrong with the inboxes, by their topic."""
    entries = set(evidence.inbox)
    came = Counter(Entry(one.mark or "", one.user_id) for one in entries)
    for entry, place in book.entries.items():
        if came[entry] != 1:
            what: What = "inbox" if came[entry] else "lost"
            yield Finding(what, f"{entry} of {place}: {came[entry]} entries")
    for entry in came:
        if entry not in book.entries and not book.excused([entry.mark]):
            yield Finding("unknown", f"{entry}: an entry nobody ordered")
    for (user_id, number), many in Counter((one.user_id, one.id) for one in entries).items():
        if many > 1:
            yield Finding("inbox", f"{user_id}: {many} entries have the id {number}")


def sockets(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield what people saw in their browsers that the topic does not have, or in another order."""
    on_topic: defaultdict[str, set[tuple[int, str | None]]] = defaultdict(set)
    for entry in evidence.inbox:
        on_topic[entry.user_id].add((entry.id, entry.mark))
    for user_id, frames in [*evidence.frames.items(), *evidence.live.items()]:
        ids = [number for number, _ in frames]
        if any(later <= earlier for earlier, later in pairwise(ids)):
            yield Finding("inbox", f"{user_id}: ids do not rise: {ids}")
        for one in sorted(on_topic[user_id] ^ set(frames), key=str):
            where = "topic" if one in on_topic[user_id] else "socket"
            yield Finding("inbox", f"{user_id}: {one} is on the {where} alone")


def statistics(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield the months that are not what was watched."""
    unsure = {event.key for event in book.unsure}
    for (user_id, month), said in evidence.statistics.items():
        if user_id in unsure:
            continue
        wanted = month_of([one for one in book.watched[user_id] if one.month == month])
        zone = book.zones.get(user_id)
        if zone is not None:
            wanted["timezone"] = zone.timezone
        found = {name: said.get(name) for name in wanted} if said else said
        if found != wanted:
            yield Finding("statistics", f"{user_id} {month}: {found}, watched {wanted}")


def dead_letters(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield wrong records without a letter, and letters of records that were right."""
    for place in sorted(book.refused - evidence.letters.keys()):
        yield Finding("lost", f"{place}: no dead letter of {book.places[place].value!r:.200}")
    for place in sorted(evidence.letters.keys() - book.refused):
        if place in book.places or not book.unsure:
            yield Finding("dead letters", f"{place}: {evidence.letters[place][0]}")


def skips(book: Book, evidence: Evidence) -> Iterator[Finding]:
    """Yield people who were not told nothing as often as they should have been."""
    wanted = Counter((one.user_id, one.kind) for one in book.skipped.values())
    found = Counter(
        (said[0].user_id, said[0].kind)
        for said in evidence.deliveries.values()
        if said[0].status == "skipped" and not said[0].channel
    )
    for who in wanted.keys() | found.keys():
        if wanted[who] != found[who]:
            what: What = "lost" if found[who] < wanted[who] else "unknown"
            yield Finding(what, f"{who}: {found[who]} skips, {wanted[who]} were due")
