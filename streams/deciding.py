"""A partition's task at work: each record decided alone, and flushed with those beside it."""

from __future__ import annotations

import logging
from asyncio import Event
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from time import monotonic
from typing import Final

from aiokafka import ConsumerRecord

from streams import resting, walking
from streams.breaker import TopicBreaker
from streams.dead_letters import dead_letter, place
from streams.decisions import Agent, Arrival, Decision
from streams.delivery_log import ERASED
from streams.errors import TooLarge
from streams.events import now_utc
from streams.faults import points
from streams.flushing import Flushing
from streams.jobs import Erase
from streams.outgoing import Outgoing
from streams.passing import Passing, now_of
from streams.processing import Done
from streams.records import timestamp
from streams.routing import INPUT_ERRORS, ORIGIN, Routed, route
from streams.settings import Settings
from streams.state import State
from streams.topics import CLOCK, MIB
from streams.transport import Batch
from streams.walking import open_walk
from streams.work import Work, checked, routed
from tables.counts import Outcome
from tables.partition import Tables

logger = logging.getLogger(__name__)

# Flushed before a batch's changes could outgrow one record batch of the changelog (4 MiB).
FLUSH_AT: Final = MIB
# One slice of other work between two batches: so long may an event wait behind a campaign.
SLICE: Final = 0.02
# What a record can be blamed for; anything else that a decision raises is a fault of ours.
EXPECTED: Final = (*INPUT_ERRORS, TooLarge)
# Outcomes that an agent had a say in.
DECIDED: Final = frozenset({"applied", "decided"})


class Deciding:
    """Decides the records of a worker's partitions over their tables."""

    def __init__(
        self,
        settings: Settings,
        agents: Sequence[Agent],
        state: State,
        outgoing: Outgoing,
        bulk_lag: Callable[[int], int],
        breaker: TopicBreaker | None = None,
        wall: Callable[[], datetime] = now_utc,
        films: Event | None = None,
    ) -> None:
        """Decide nothing before `films` is set: a report without its genres would be final."""
        self._settings = settings
        self._agents = {agent.topic.name: agent for agent in agents}
        self._state = state
        self._outgoing = outgoing
        self._bulk_lag = bulk_lag
        self.breaker = breaker or TopicBreaker(settings.errors_in_a_row)
        self._films = films
        self._passing = Passing(settings, wall)
        self._flushing = Flushing(state, outgoing, points(settings.fault))

    async def process(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        """Decide the records of a batch; return when Kafka has all that follows from them."""
        if self._films is not None:
            await self._films.wait()
        partition = batch.tp.partition
        tables = await self._state.take(partition, self._outgoing)
        work = Work(partition)
        work.since = timestamp(records[0]).timestamp()
        applied = tables.counts.book.applied.get(batch.tp.topic, 0)
        ends = records[-1].offset + 1
        for record in records:
            if record.offset < applied:
                # Its changes are in the tables and its jobs were acknowledged before them.
                continue
            if record.topic in self.breaker.open:
                ends = record.offset
                break
            while not self._take(record, tables, work):
                await self._flushing.flush(tables, work)
            if work.size + tables.size > FLUSH_AT:
                await self._flushing.flush(tables, work)
        await self._flushing.flush(tables, work, lazily=batch.tp.topic == CLOCK.name)
        written = tables.counts.applied_written.get(batch.tp.topic, records[0].offset)
        return Done(ends, durable=written)

    async def step(self, key: Hashable) -> bool:
        """Decide what is due, or take an open walk on by a slice; True if more may wait."""
        assert isinstance(key, int)
        if self._films is not None and not self._films.is_set():
            return False
        if key not in self._state.partitions_held:
            return False
        tables = await self._state.take(key, self._outgoing)
        now = now_of(tables)
        work = Work(key)
        ends = monotonic() + SLICE
        rested = now is not None and resting.advance(
            tables, work, self._settings, now, ends, self.breaker
        )
        walked = False
        if not rested:
            busy = self._bulk_lag(key) > walking.BULK_LAG
            walked = walking.advance(
                tables, work, self._settings, self._agents, now, ends, busy, self.breaker
            )
        if rested or walked:
            await self._flushing.flush(tables, work)
        return rested or walked

    # -- one record

    def _take(self, record: ConsumerRecord, tables: Tables, work: Work) -> bool:
        """Decide a record; False if time has not come to its tick yet and it is to be taken again.

        After a pause more may be due than one write holds.
        """
        at = timestamp(record)
        now = now_of(tables) or at
        mark = work.mark()
        try:
            arrived = True
            outcome: Outcome = "applied"
            if record.topic == CLOCK.name:
                arrived = self._passing.take(record, tables)
            else:
                outcome = self._decide(record, tables, work, at, now)
            tables.keep()
            if not arrived:
                return False
            if outcome in DECIDED:
                self.breaker.decided(record.topic)
        except Exception as error:
            tables.undo()
            work.back(mark)
            if not isinstance(error, EXPECTED):
                logger.exception("a decision about %s raised", place(record))
                self.breaker.raised(record.topic, error)
            work.emit([dead_letter(record, error, now, _identity(record))])
            outcome = "dead"
        work.ended(record, outcome)
        return True

    def _decide(
        self, record: ConsumerRecord, tables: Tables, work: Work, at: datetime, now: datetime
    ) -> Outcome:
        agent = self._agents[record.topic]
        routed_to = route(record, agent, self._settings.partitions)
        if routed_to.forward:
            work.emit(routed_to.forward)
            return "forwarded"
        arrival = Arrival(
            cause=routed_to.cause,
            at=at,
            now=now,
            identity=routed_to.identity,
            partition=record.partition,
            settings=self._settings,
        )
        if routed_to.everyone:
            return open_walk(record, routed_to, tables, arrival)
        if routed_to.here:
            assert agent.partition is not None
            decisions = list(agent.partition(routed_to.event, routed_to.key, tables, arrival))
        else:
            found = self._people(agent, routed_to, tables, work, arrival)
            if found is None:
                return "duplicate"
            decisions = found
        work.emit(checked(decisions, work.partition))
        work.count(decisions)
        return "decided" if decisions else "applied"

    def _people(
        self, agent: Agent, routed_to: Routed, tables: Tables, work: Work, arrival: Arrival
    ) -> list[Decision] | None:
        """Decide for each person named; None if each of them had this very event before."""
        assert agent.person is not None
        topic, identity = agent.topic.name, routed_to.identity
        decisions: list[Decision] = []
        repeated = 0
        for person in routed_to.people:
            if routed_to.event is None:
                if tables.erased.life(person) == identity:
                    repeated += 1
                    continue
                for job in tables.forget(person, identity, arrival.now):
                    # Its id was counted when it was decided.
                    work.emit(routed(job.delivery("skipped", ERASED, arrival.now), work.partition))
                decisions.append(Erase(user_id=person, at=arrival.now, cause=arrival.cause))
                continue
            if routed_to.deduplicate:
                if tables.seen.has(topic, person, identity, arrival.now):
                    repeated += 1
                    continue
                tables.seen.add(topic, person, identity, arrival.now)
            user = tables.users.of(person)
            decisions.extend(agent.person(routed_to.event, user, tables, arrival))
        return None if repeated and repeated == len(routed_to.people) else decisions


def _identity(record: ConsumerRecord) -> str:
    for name, value in record.headers:
        if name == ORIGIN and value:
            return bytes(value).decode(errors="replace")
    return place(record)
