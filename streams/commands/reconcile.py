"""`python -m streams reconcile`: whether all that came in and was decided is accounted for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Final

import msgspec
from aiokafka import TopicPartition

from streams import topics
from streams.commands import books as changelog
from streams.commands.inputs import Kept, Ledger
from streams.commands.outputs import Jobs, line
from streams.commands.running import DONE, STATUSES, WRONG, Meter, moment, run, span
from streams.declaring import bootstrap
from streams.events import now_utc
from streams.logs import Logs, Offsets
from streams.lookups import READ
from streams.settings import Settings

PATIENCE: Final = timedelta(minutes=15)
# Of each kind of fault; that there are more says the number.
SHOWN: Final = 50
OUTBOXES: Final = (topics.OUTBOX, topics.OUTBOX_URGENT, topics.HELD, topics.DELIVERIES)
DESCRIPTION = """\
Read the topics and print both equations of the contract ("The numbers add up"), with the ids of
what does not add up. It looks at the records themselves and asks no worker:

 records   each is read as a worker reads it. One that no schema takes wants its dead letter, with
           the same bytes; one in the wrong partition, or for everyone, wants its copies. What is
           left was applied, decided or a duplicate: which of these only the partition's book tells,
           so its numbers must be those that were counted.
 jobs      each id counts once, by its latest status. One that is not at its end must rest (as the
           table `deferred` says), or have moved within --patience; what was sent over a websocket
           must be in an inbox, once; what has a status must have been made.
 books     the numbers of job ids must be those of the books.

Books and topics are compared only where everything since the beginning is read: without --since and
--until, and as long as retention has taken nothing (30 days); for compacted topics the book may say
more. A record that an older version took, and today's schema refuses, shows up as missing its
letter. Beside running workers nothing is reported that is only on its way. Memory: some 400 bytes
a job id."""


def main(arguments: Sequence[str]) -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m streams reconcile",
        description=DESCRIPTION,
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="records of then or later: 2026-11-27, 12h, 3d"
    )
    parser.add_argument("--until", type=moment, metavar="TIME", help="records of before then")
    parser.add_argument(
        "--patience",
        type=span,
        default=PATIENCE,
        metavar="TIME",
        help="how long a job may stay where it is: 90m, 12h (default 15m)",
    )
    given = parser.parse_args(arguments)
    return run(partial(_reconcile, given))


async def _reconcile(given: argparse.Namespace, settings: Settings) -> int:
    async with Logs(bootstrap(settings)) as logs:
        meter = Meter()
        wrong: list[str] = []
        before = await changelog.read(logs, meter)
        letters = await _letters(logs, meter)
        print("records processed")
        for topic in READ:
            wrong += await _records(topic, given, logs, before, letters, meter)
        jobs, whole = await _jobs(given, logs, meter)
        after = await changelog.read(logs, meter)
        wrong += jobs.wrong
        wrong += jobs.stuck(now_utc(), given.patience, before, after)
        if whole:
            wrong += jobs.unfounded()
            wrong += jobs.compare(before, after)
        meter.clear()
    print("\njob ids, by their latest status")
    for kind, found in jobs.counts().items():
        print(line(kind, found))
    print(f"\n{len(wrong)} things do not add up" if wrong else "\nall adds up")
    print(*wrong[:SHOWN], sep="\n", end="\n" if wrong else "")
    if len(wrong) > SHOWN:
        print(f"and {len(wrong) - SHOWN} more")
    return WRONG if wrong else DONE


async def _records(
    topic: str,
    given: argparse.Namespace,
    logs: Logs,
    books: changelog.Books,
    letters: dict[str, Kept],
    meter: Meter,
) -> list[str]:
    partitions = await logs.partitions(topic)
    begins, whole = await _begins(partitions, given, logs)
    ends = await logs.ends(partitions)
    low, high = _milliseconds(given.since, 0), _milliseconds(given.until, inf)
    ledger = Ledger(topic, len(partitions), letters)
    async for records in logs.read(partitions, begins, ends, meter):
        for record in records:
            within = low <= record.timestamp < high
            ledger.hear(record, within and record.offset < books.applied(topic, record.partition))
    ledger.finish()
    meter.clear()
    whole = whole and given.until is None
    waiting = sum(max(ends[tp] - books.applied(topic, tp.partition), 0) for tp in partitions)
    print(ledger.line(books if whole else None, waiting))
    return [*ledger.wrong, *(ledger.compare(books) if whole else ())]


async def _jobs(given: argparse.Namespace, logs: Logs, meter: Meter) -> tuple[Jobs, bool]:
    """Return the jobs, and whether these are all since the beginning."""
    jobs = Jobs()
    everything = True
    for topic in OUTBOXES:
        partitions = await logs.partitions(topic.name)
        begins, whole = await _begins(partitions, given, logs)
        everything = everything and whole
        async for records in logs.read(partitions, begins, progress=meter):
            for record in records:
                jobs.hear(record)
    partitions = await logs.partitions(topics.INBOX.name)
    begins, whole = await _begins(partitions, given, logs)
    async for records in logs.read(partitions, begins, progress=meter):
        for record in records:
            jobs.enter(record)
    jobs.within(given.since, given.until)
    return jobs, everything and whole and given.until is None


async def _begins(
    partitions: list[TopicPartition], given: argparse.Namespace, logs: Logs
) -> tuple[Offsets, bool]:
    """Return where to begin, and whether that is the beginning of all."""
    if given.since is not None:
        return await logs.since(partitions, given.since), False
    begins = await logs.begins(partitions)
    return begins, not any(begins.values())


def _milliseconds(at: datetime | None, else_: float) -> float:
    return else_ if at is None else at.timestamp() * 1000


async def _letters(logs: Logs, meter: Meter) -> dict[str, Kept]:
    found: dict[str, Kept] = {}
    partitions = await logs.partitions(topics.DEAD_LETTERS.name)
    async for records in logs.read(partitions, progress=meter):
        for record in records:
            if record.value is not None:
                letter = _decode(record.value)
                place = f"{letter.topic}/{letter.partition}/{letter.offset}"
                name = f"{record.partition}/{record.offset}"
                found.setdefault(place, Kept(name, letter.length, letter.sha256))
    return found


class _Letter(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    length: int
    sha256: str


_decode: Final = msgspec.json.Decoder(_Letter).decode
