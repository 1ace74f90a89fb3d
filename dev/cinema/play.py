"""Plays the story against a stack: records and ticks in, and wait until all has been processed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Final

import aiohttp

from dev.cinema import gauges
from dev.cinema.almanac import PUNCTUAL, TICK
from dev.cinema.feed import Feed
from dev.cinema.gauges import Gauges
from dev.cinema.script import Step, Story
from dev.cinema.seen import Seen
from dev.cinema.tail import Tail
from dev.cinema.timetable import Timetable
from dev.cinema.visits import Postbox
from dev.errors import NotReady
from dev.stack import Addresses
from streams.progress import BUSY, POSITION
from streams.topics import FILMS, TOPICS

# The pause before a look: each takes about a millisecond of a worker's time, and nothing is done
# sooner, as the embedded broker lets a fetch wait for 20 ms.
POLL: Final = 0.015
# Records whose outcome does not depend on the time.
TIMELESS: Final = frozenset({"watch_history", "bookmarks", "activity", "letters"})
# A step takes a fraction of a second; a worker that was killed is back in ten.
SETTLE_LIMIT: Final = 60.0


#: App and topic, and the sum of the next offsets to process.
Positions = dict[tuple[int, str], float]


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
        self._apps = (addresses.streams, addresses.sender)
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
                await self.settle()
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
            await self.settle()
        if new:
            await self._catalogued()
        for ticks in self._stretches(step.number):
            await self.feed.tick(ticks)
            await self.settle()

    def _in_any_order(self, step: Step) -> bool:
        """Tell whether it makes no difference when in the step its records are processed."""
        ticks = self.story.span.ticks(step.number)
        return TIMELESS.issuperset(record.topic for record in step.records) and not (
            self._moments.intersection(ticks)
        )

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

    async def settle(self) -> None:
        """Wait until the workers have processed all there is.

        Nothing is left when no worker was at work, and none had moved, between two looks, and all
        of them stand where the topics, read between the two, end.
        """
        deadline = monotonic() + SETTLE_LIMIT
        before: Positions | None = None
        while True:
            now = await self._resting()
            if now is not None and now == before and self._reached(now):
                return
            if now is None or not self._reached(now):
                before = None
                if monotonic() > deadline:
                    raise NotReady(
                        f"the workers have not come to rest in {SETTLE_LIMIT:.0f} s: see their logs"
                    )
                await asyncio.sleep(POLL)
                continue
            before = now
            await self.tail.read()

    async def _resting(self) -> Positions | None:
        """Return where each app stands in each topic; None if any worker is at work."""
        positions: Positions = {}
        for number, workers in enumerate(self._apps):
            try:
                found = await gauges.read(self._session, workers, POSITION, BUSY)
            except aiohttp.ClientError:
                # A worker that is being started again.
                return None
            if found.total(BUSY) or not found.of(POSITION):
                return None
            for labels, value in found.of(POSITION):
                place = number, labels["topic"]
                positions[place] = positions.get(place, 0) + value
        return positions

    def _reached(self, positions: Positions) -> bool:
        """Tell whether all stand where the topics end, as far as the demo knows."""
        ends: Counter[str] = Counter(self.feed.sent)
        for topic in TOPICS:
            ends[topic] = max(ends[topic], self.tail.ends_of[topic])
        return all(value >= ends[topic] for (_, topic), value in positions.items())

    async def _catalogued(self) -> None:
        """Wait until every streams worker knows the films that are out: each reads them apart."""
        while True:
            found = await self.numbers()
            if all(value >= len(self._films) for _, value in found.of("cinema_films")):
                return
            await asyncio.sleep(POLL)

    async def numbers(self) -> Gauges:
        """Return all numbers of all workers."""
        return await gauges.read(self._session, [url for app in self._apps for url in app])


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
