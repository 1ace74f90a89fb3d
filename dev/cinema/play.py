"""Plays the story against a stack: records and ticks in, and wait until all has been processed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Final

import aiohttp

from dev.cinema import gauges
from dev.cinema.book import Timetable
from dev.cinema.feed import Feed
from dev.cinema.gauges import Gauges
from dev.cinema.script import Step, Story
from dev.cinema.seen import Seen
from dev.cinema.tail import Tail
from dev.cinema.visits import Postbox
from dev.errors import NotReady
from dev.stack import Addresses
from streams.topics import FILMS, TOPICS

# What nobody in the service reads on is done when it is written.
CONSUMED: Final = TOPICS.keys() - {"inbox", "dead_letters"}
# The pause between two looks: some milliseconds of a worker's time each.
POLL: Final = 0.01
# A step takes a fraction of a second; a worker that was killed is back in ten.
SETTLE_LIMIT: Final = 60.0


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
        self._session = session
        self._workers = [*addresses.streams, *addresses.sender]
        self._films: set[str] = set()
        self._moments = _moments(story)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connect to the broker, and say what time it is when the story begins."""
        await self.tail.start()
        try:
            await self.feed.start()
            try:
                await self.feed.tick([self.story.span.begin])
                await self.settle()
                yield
            finally:
                await self.feed.stop()
        finally:
            await self.tail.stop()

    async def step(self, step: Step) -> None:
        """Play six hours: what people do, then the clock, each until all has been processed.

        The clock stops where something comes due, so that it is said at its hour and not at the
        end of the step.
        """
        self.seen.step = step.number
        self.wrong += await self.postbox.visit(step.visits, self.seen.jobs)
        await self.feed.send(step.records)
        self._films |= {
            record.key for record in step.records if record.topic == FILMS.name and record.key
        }
        await self.settle()
        for ticks in self._stretches(step.number):
            await self.feed.tick(ticks)
            await self.settle()

    def _stretches(self, step: int) -> Iterator[list[datetime]]:
        ticks: list[datetime] = []
        for tick in self.story.span.ticks(step):
            ticks.append(tick)
            if tick in self._moments:
                yield ticks
                ticks = []
        if ticks:
            yield ticks

    async def settle(self) -> Gauges:
        """Wait until the workers have processed all there is; return their numbers then.

        Nothing is left when every partition's end, read before and after the workers were asked,
        is the same and where they stand, and none of them is at work.
        """
        deadline = monotonic() + SETTLE_LIMIT
        while monotonic() < deadline:
            await self.tail.read()
            ends = dict(self.tail.ends)
            try:
                found = await gauges.read(self._session, self._workers)
            except aiohttp.ClientError:
                # A worker that is being started again.
                found = Gauges(())
            if self._quiet(found, ends):
                await self.tail.read()
                if self.tail.ends == ends:
                    return found
            await asyncio.sleep(POLL)
        raise NotReady(f"the workers have not come to rest in {SETTLE_LIMIT:.0f} s: see their logs")

    def _quiet(self, found: Gauges, ends: dict[tuple[str, int], int]) -> bool:
        positions = found.positions()
        return (
            all(positions.get(place, 0) >= ends[place] for place in ends if place[0] in CONSUMED)
            and found.total("cinema_busy") == 0
            and all(value >= len(self._films) for _, value in found.of("cinema_films"))
        )


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
