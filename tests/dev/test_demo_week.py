"""The first week of the demo's story on a stack of two and two workers, some killed on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest

from dev.cinema import audit
from dev.cinema.almanac import STEP, Span
from dev.cinema.book import Book
from dev.cinema.play import Play
from dev.cinema.report import equations
from dev.cinema.script import Story, write
from dev.stack import Options, Stack

# Fewer people than the demo has, of every sort; a week has one Friday evening in every zone.
PEOPLE = 80
STEPS = 29
A_WHILE = timedelta(seconds=90)
KILLS = {9: "streams", 18: "sender"}


def first(story: Story, steps: int) -> Story:
    return replace(
        story,
        span=Span(story.span.begin, story.span.begin + steps * STEP),
        facts=tuple(fact for fact in story.facts if fact.step < steps),
        steps=story.steps[:steps],
    )


async def ready(session: aiohttp.ClientSession, workers: list[str]) -> None:
    async with asyncio.timeout(60):
        for url in workers:
            while True:
                # It takes a moment until a killed one is missed.
                await asyncio.sleep(0.5)
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{url}/health/ready") as response:
                        if response.status == 200:
                            break


@pytest.mark.integration
async def test_a_week_adds_up_though_workers_are_killed(tmp_path: Path) -> None:
    options = Options(streams=2, sender=2, clock="topic", data=tmp_path / "data")
    async with Stack(options) as stack, aiohttp.ClientSession() as session:
        partitions = stack.settings.partitions
        story = first(write(datetime.now(UTC), partitions=partitions, count=PEOPLE), STEPS)
        play = Play(stack.addresses, story, session, partitions)
        async with play.open():
            for step in story.steps:
                await play.step(step)
                if step.number in KILLS:
                    pids = msgspec.json.decode((tmp_path / "data" / "pids.json").read_bytes())
                    os.kill(pids[KILLS[step.number]][0], signal.SIGKILL)
                    await ready(session, [*stack.addresses.streams, *stack.addresses.sender])
                    # Until a tick comes a new sender has the wall clock's time. (Not the same tick
                    # again: one that tells no news is counted in memory alone.)
                    await play.feed.tick([story.span.start(step.number + 1) + A_WHILE])
                    await play.rest.settle()
            await play.rest.settle()
            found = await play.rest.numbers()
            await play.postbox.fetch()
            book = Book(story)
            asked, wrong = await audit.months(book, session, stack.addresses)
            wrong += play.wrong
    for check in equations(found, play.seen):
        wrong += check.wrong
    wrong += audit.mails(book, play.seen, play.postbox)
    wrong += audit.inboxes(book, play.seen)
    wrong += audit.reports(book, play.seen)
    assert wrong == []
    assert asked >= PEOPLE
    kinds = {one.kind for one in book.dues}
    assert {"welcome", "weekly_reminder", "episode", "letter"} <= kinds
    assert len(play.postbox.mails) > PEOPLE
