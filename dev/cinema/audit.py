"""Holds what came against the book: mailbox and inboxes person by person, months, numbers."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import aiohttp

from dev.cinema.book import Book
from dev.cinema.dues import EMAIL, EPISODE, MONTHLY, WEBSOCKET, WEEKLY, Due
from dev.cinema.gauges import Gauges
from dev.cinema.seen import Seen
from dev.cinema.visits import Postbox, job_of
from dev.stack import Addresses

# Enough requests at once to keep one worker busy.
AT_ONCE: Final = 16
# Kinds whose subjects hold no names, and so show the language they are in.
TRANSLATED: Final = frozenset({WEEKLY, MONTHLY, EPISODE})
CYRILLIC: Final = re.compile("[а-яё]", re.IGNORECASE)

#: Whose, of what kind, on what occasion.
What = tuple[str, str, str]


def mails(book: Book, seen: Seen, postbox: Postbox) -> Iterator[str]:
    """Yield what is wrong with the mailbox."""
    came: defaultdict[What, list[int]] = defaultdict(list)
    copies = Counter(job_of(mail) for mail in postbox.mails)
    for mail in postbox.mails:
        job_id = job_of(mail)
        job = seen.jobs.get(job_id)
        to = ", ".join(one["Address"] for one in mail["To"])
        if job is None:
            yield f"{to}: a mail of no known job: {mail['Subject']!r}"
            continue
        if copies[job_id] > 1:
            yield f"{job.user_id}: {job.kind} {job.occasion!r} came {copies.pop(job_id)} times"
        if to.lower() != book.addresses.get(job.user_id, "").lower():
            yield f"{job.user_id}: {job.kind} {job.occasion!r} went to {to}"
        status = seen.statuses.get(job_id)
        if status is None or status.status != "sent":
            yield f"{job.user_id}: {job.kind} {job.occasion!r} came, and is not said to be sent"
            continue
        known = status.step >= book.joined.get(job.user_id, status.step + 1)
        if known and job.kind in TRANSLATED:
            found = "ru" if CYRILLIC.search(mail["Subject"]) else "en"
            if found != book.story.people[job.user_id].locale:
                yield f"{job.user_id}: {job.kind} {job.occasion!r} is in {found}"
        came[job.user_id, job.kind, job.occasion].append(status.step)
    yield from _compared(_of(book.dues, EMAIL), came, "mail")


def inboxes(book: Book, seen: Seen) -> Iterator[str]:
    """Yield what is wrong with the inboxes."""
    came: defaultdict[What, list[int]] = defaultdict(list)
    last: dict[str, int] = {}
    for entry in seen.inbox:
        job = seen.jobs.get(entry.job_id)
        if job is None:
            yield f"{entry.user_id}: an inbox entry of no known job"
            continue
        if entry.id <= last.get(entry.user_id, 0):
            yield f"{entry.user_id}: inbox id {entry.id} does not rise"
        last[entry.user_id] = entry.id
        came[entry.user_id, job.kind, job.occasion].append(entry.step)
    yield from _compared(_of(book.dues, WEBSOCKET), came, "inbox entry")


def _of(dues: Iterable[Due], channel: str) -> dict[What, list[Due]]:
    found: defaultdict[What, list[Due]] = defaultdict(list)
    for due in dues:
        if due.channel == channel:
            found[due.user_id, due.kind, due.occasion].append(due)
    return found


def _compared(due: dict[What, list[Due]], came: dict[What, list[int]], name: str) -> Iterator[str]:
    for what in sorted({*due, *came}):
        user_id, kind, occasion = what
        said = f"{user_id}: {kind} {occasion!r}"
        wanted = sorted(due.get(what, ()), key=lambda one: one.first)
        steps = sorted(came.get(what, ()))
        if len(steps) > len(wanted):
            yield f"{said}: {len(steps) - len(wanted)} {name} too many (steps {steps})"
        if len(steps) < sum(one.sure for one in wanted):
            yield f"{said}: {name} missing (due in step {wanted[-1].first})"
        if len(steps) == len(wanted):
            for step, one in zip(steps, wanted, strict=True):
                if not one.first <= step <= one.last:
                    yield f"{said}: {name} came in step {step}, due in {one.first} to {one.last}"


def reports(book: Book, seen: Seen) -> Iterator[str]:
    """Yield the monthly mails whose numbers are not the book's."""
    for job in seen.jobs.values():
        if job.numbers is None:
            continue
        report = book.reports.get((job.user_id, job.occasion))
        wanted = report and report.numbers
        if wanted != job.numbers:
            yield f"{job.user_id}: the mail for {job.occasion} says {job.numbers}, not {wanted}"


async def months(
    book: Book, session: aiohttp.ClientSession, addresses: Addresses
) -> tuple[int, list[str]]:
    """Ask for every person's every month; return how many, and what is not the book's."""
    limit = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Bearer {addresses.api_key}"}
    last = book.story.span.steps

    async def one(user_id: str, month: str) -> str | None:
        url = f"{addresses.streams[0]}/users/{user_id}/statistics"
        async with limit, session.get(url, params={"month": month}, headers=headers) as response:
            if response.status != 200:
                return f"{user_id}: {response.status} for the statistics of {month}"
            found = _numbers(await response.json())
        numbers = book.statistics.of(user_id, month, last)
        wanted = numbers.films, numbers.seconds, numbers.genres, numbers.top_genre
        return None if found == wanted else f"{user_id}: {month} is {found}, not {wanted}"

    people = [user_id for user_id in book.story.people if user_id not in book.left]
    asked = [one(user_id, month) for user_id in people for month in book.statistics.months()]
    answers = await asyncio.gather(*asked)
    return len(asked), [answer for answer in answers if answer is not None]


def _numbers(answer: dict[str, Any]) -> tuple[int, int, tuple[tuple[str, int, int], ...], Any]:
    genres = tuple((one["genre"], one["films"], one["seconds"]) for one in answer["genres"])
    return answer["films"], answer["seconds"], genres, answer["top_genre"]


def accidents(book: Book, seen: Seen, found: Gauges) -> Iterator[str]:
    """Yield the accidents that did not end as they should."""
    expected = book.story.expected
    dead = Counter({topic: len(errors) for topic, errors in seen.dead.items()})
    for topic in sorted({*expected.dead, *dead}):
        if dead[topic] != expected.dead[topic]:
            yield f"{topic}: {dead[topic]} dead letters, not {expected.dead[topic]}"
    for outcome, wanted in (("duplicate", expected.duplicate), ("forwarded", expected.forwarded)):
        for topic, number in sorted(wanted.items()):
            counted = int(found.total("cinema_records", topic=topic, outcome=outcome))
            if counted != number:
                yield f"{topic}: {counted} {outcome}, not {number}"
    for user_id in sorted({*book.confirmed, *seen.confirmed}):
        wanted_times = int(user_id in book.confirmed)
        if seen.confirmed[user_id] != wanted_times:
            yield f"{user_id}: confirmed {seen.confirmed[user_id]} times, not {wanted_times}"
