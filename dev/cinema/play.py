"""Plays the story against a stack: records and ticks in, and wait until all has been processed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import aiohttp

from dev.cinema.almanac import PUNCTUAL, TICK
from dev.cinema.feed import Feed
from dev.cinema.records import Record
from dev.cinema.rest import Rest
from dev.cinema.script import Step, Story
from dev.cinema.seen import Seen
from dev.cinema.tail import Tail
from dev.cinema.timetable import Timetable
from dev.cinema.visits import Postbox
from dev.stack import Addresses
from streams.topics import FILMS, TOPICS

# Topics whose records' outcome does not depend on the time.
TIMELESS: Final = frozenset({"watch_history", "bookmarks", "activity", "letters"})


class Play:
    """The stage: where records go in, and what can be seen of what comes out."""

    def __init__(
        self, addresses: Addresses, story: Story, session: aiohttp.ClientSession, partitions: int
    ) -> None:
        self.story = story
        self.seen = Seen()
        self.wrong: list[str] = []
        self.feed = Feed(addresses.broker, partitions)
        self.tail = Tail(addresses.broker, TOPICS, self.seen.hear)
        assert addresses.mailbox is not None
        self.postbox = Postbox(session, addresses.mailbox)
        self.rest = Rest(addresses, session, self.tail, self.feed.sent)
        self._films: set[str | None] = set()
        self._moments = _moments(story)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connect to the broker, and say what time it is when the story begins."""
        await self.tail.start()
        try:
            await self.feed.start()
            try:
                await self.feed.tick([self.story.span.begin])
                await self.rest.settle()
                yield
            finally:
                await self.feed.stop()
        finally:
            await self.tail.stop()

    async def step(self, step: Step) -> None:
        """Play six hours: what people do, then the clock, until all has been processed."""
        self.seen.step = step.number
        self.wrong += await self.postbox.visit(step.visits, self.seen.jobs)
        await self.feed.send(step.records)
        new = {record.key for record in step.records if record.topic == FILMS.name}
        self._films |= new
        if new or not self._in_any_order(step):
            await self.rest.settle()
        if new:
            await self.rest.know_films(len(self._films))
        for ticks in self._stretches(step.number):
            await self.feed.tick(ticks)
            await self.rest.settle()

    def _in_any_order(self, step: Step) -> bool:
        """Tell whether it makes no difference when in the step its records are processed."""
        ticks = self.story.span.ticks(step.number)
        return all(map(_timeless, step.records)) and not self._moments.intersection(ticks)

    def _stretches(self, step: int) -> Iterator[list[datetime]]:
        """Yield the step's ticks; the clock stops soon after something has come due.

        What a campaign says is said at the time that the clock shows then.
        """
        ticks: list[datetime] = []
        due: datetime | None = None
        for tick in self.story.span.ticks(step):
            ticks.append(tick)
            if due is None and tick in self._moments:
                due = tick
            if due is not None and tick + TICK > due + PUNCTUAL:
                yield ticks
                ticks, due = [], None
        if ticks:
            yield ticks


def _timeless(record: Record) -> bool:
    """Tell whether a record's outcome is the same at any time; of a group it goes by the clock."""
    return record.topic in TIMELESS and b'"group"' not in (record.value or b"")


def _moments(story: Story) -> set[datetime]:
    """Return the ticks at which a campaign comes due in some zone."""
    timetable = Timetable(story)
    zones = {person.timezone for person in story.people.values()}
    whens = sorted(
        {
            when
            for zone in zones
            for step in range(story.span.steps)
            for when, _, _ in timetable.due(zone, step)
        }
    )
    ticks = (tick for step in range(story.span.steps) for tick in story.span.ticks(step))
    moments: set[datetime] = set()
    for tick in ticks:
        while whens and whens[0] <= tick:
            moments.add(tick)
            whens.pop(0)
    return moments
