"""`python -m dev demo`: two months of a simulated cinema in about a minute, and their reckoning."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import aiohttp
import jwt
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dev.cinema import audit
from dev.cinema.book import Book
from dev.cinema.dues import EMAIL, WEBSOCKET
from dev.cinema.play import Play
from dev.cinema.report import Check, equations, show
from dev.cinema.script import Story, write
from dev.stack import Options, Stack
from streams.errors import CinemaError
from streams.web import login_link

TOKEN_LIFE: Final = timedelta(hours=12)
TICK_SECONDS: Final = 1.0
# What shells make of SIGINT: told to end before there was a result.
INTERRUPTED: Final = 130


def main(arguments: Sequence[str]) -> int:
    """Read the flags and run; the status is 0 when everything adds up."""
    parser = argparse.ArgumentParser(prog="python -m dev demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="end after the tables")
    options = parser.parse_args(arguments)
    return asyncio.run(_until_told(options.exit))


async def _until_told(leave: bool) -> int:
    loop = asyncio.get_running_loop()
    demo = asyncio.create_task(_demo(Console(), leave))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, demo.cancel)
    try:
        return await demo
    except asyncio.CancelledError:
        return INTERRUPTED
    except CinemaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 1


async def _demo(console: Console, leave: bool) -> int:
    began = monotonic()
    now = datetime.now(UTC)
    console.print("Starting the broker, Redis, the mailbox and the workers …")
    async with Stack(Options(clock="topic")) as stack, aiohttp.ClientSession() as session:
        partitions = stack.settings.partitions
        story = write(now, partitions=partitions)
        play = Play(stack.addresses, story, session, partitions)
        console.print(f"Ready after {monotonic() - began:.0f} s.")
        async with play.open():
            with _progress(console) as progress:
                await _play(play, story, progress)
            checks = await _check(console, play, story, session, stack)
            adds_up = not any(check.wrong for check in checks)
            console.print(
                "Everything adds up." if adds_up else "[red]It does not add up.[/red]",
                f"{monotonic() - began:.0f} s in all.",
            )
            if leave:
                return 0 if adds_up else 1
            _invite(console, stack, story, play)
            # Told to end: this is how it is meant to.
            with suppress(asyncio.CancelledError):
                async with _wall_clock(play):
                    await stack.failed()
    return 0


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]{task.fields[date]}"),
        # All of it fits 80 columns.
        BarColumn(bar_width=14),
        TextColumn(
            "{task.fields[records]} records {task.fields[mails]} mails "
            "{task.fields[entries]} inbox {task.fields[dead]} dead"
        ),
        TimeElapsedColumn(),
        console=console,
    )


async def _play(play: Play, story: Story, progress: Progress) -> None:
    counters: dict[str, Any] = dict.fromkeys(("date", "records", "mails", "entries", "dead"), "")
    task = progress.add_task("", total=story.span.steps, **counters)
    for step in story.steps:
        await play.step(step)
        seen = play.seen
        progress.update(
            task,
            completed=step.number + 1,
            date=f"{story.span.start(step.number + 1):%d %b %H:%M}",
            records=sum(play.feed.sent.values()),
            mails=seen.sent,
            entries=len(seen.inbox),
            dead=sum(map(len, seen.dead.values())),
        )


async def _check(
    console: Console, play: Play, story: Story, session: aiohttp.ClientSession, stack: Stack
) -> list[Check]:
    """Hold all that came against the book, and print the tables."""
    await play.rest.settle()
    found = await play.rest.numbers()
    await play.postbox.fetch()
    book, seen = Book(story), play.seen
    asked, wrong_months = await audit.months(book, session, stack.addresses)
    due = Counter(one.channel for one in book.dues)
    checks = [
        *equations(found, seen),
        Check(
            "mailbox against the book",
            f"{len(play.postbox.mails)} mails, {due[EMAIL]} due",
            tuple(audit.mails(book, seen, play.postbox)),
        ),
        Check(
            "inboxes against the book",
            f"{len(seen.inbox)} entries, {due[WEBSOCKET]} due",
            tuple(audit.inboxes(book, seen)),
        ),
        Check(
            "numbers in the monthly mails",
            f"{len(book.reports)} reports",
            tuple(audit.reports(book, seen)),
        ),
        Check("statistics over HTTP", f"{asked} months of people", tuple(wrong_months)),
        Check(
            "accidents and confirmations",
            f"{seen.records['dead_letters']} dead letters, {len(book.confirmed)} confirmed",
            (*audit.accidents(book, seen, found), *play.wrong),
        ),
    ]
    show(console, found, seen, checks)
    return checks


def _invite(console: Console, stack: Stack, story: Story, play: Play) -> None:
    """Print the addresses to open, of the person with the fullest inbox who also watches films."""
    addresses, seen = stack.addresses, play.seen
    watching = {job.user_id for job in seen.jobs.values() if job.numbers is not None}
    entries = Counter(entry.user_id for entry in seen.inbox if entry.user_id in watching)
    ((user_id, _),) = entries.most_common(1)
    person = story.people[user_id]
    expires = datetime.now(UTC) + TOKEN_LIFE
    token = jwt.encode({"sub": user_id, "exp": expires}, addresses.jwt_secret, algorithm="HS256")
    streams, sender = addresses.streams[0], addresses.sender[0]
    lines = (
        f"\nOpen, until Ctrl-C ends it all (the person is {person.username}, {person.email}):",
        f"  mailbox     {addresses.mailbox}",
        f"  inbox       {sender}/viewer#token={token}",
        f"Log in for an hour at {login_link(stack.settings, streams)} and open:",
        f"  statistics  {streams}/users/{user_id}/statistics",
        f"  deliveries  {streams}/users/{user_id}/deliveries",
        f"  campaigns   {streams}/campaigns",
        f"  a template  {sender}/preview/statistics/ru",
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@asynccontextmanager
async def _wall_clock(play: Play) -> AsyncIterator[None]:
    """Go on in real time: the demo, and nobody else, tells the partitions the time."""

    async def tick() -> None:
        while True:
            await play.feed.tick([datetime.now(UTC)])
            await asyncio.sleep(TICK_SECONDS)

    ticker = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker
