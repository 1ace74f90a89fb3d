"""A worker on the service's own transport and boundary, with as little as possible inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import mode.loop
import msgspec
from aiokafka import ConsumerRecord

from agents.registration import welcome
from bench.agents import Options, Stopwatch, mark_and_tell, settings, work
from streams import topics
from streams.deciding import Deciding
from streams.decisions import Agent
from streams.faust_app import CinemaApp
from streams.outgoing import Outgoing
from streams.processing import Done, Processing
from streams.state import State
from streams.topics import DECODERS
from streams.transport import Batch
from tables.films import Films

AGENTS = {"full": mark_and_tell, "registration": welcome}


class Trivial(CinemaApp):
    """Decodes each record and does nothing with it; offsets are committed."""

    def __init__(self, options: Options) -> None:
        cinema = settings(options)
        super().__init__(options.group, cinema, cinema.streams_port)
        self._stopwatch = Stopwatch(self, options.count)
        self._decode = DECODERS[topics.ACTIVITY.name]
        processing = Processing(self, lambda batch: batch.tp.partition, self._process)
        self.take(topics.ACTIVITY, processing.accept)

    async def _process(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        for record in records:
            self._decode(record.value)
        self._stopwatch.add(len(records))
        return Done(records[-1].offset + 1)


class Full(CinemaApp):
    """Decides with one agent: tables, jobs, changelog, all acknowledged before the commit."""

    def __init__(self, options: Options, agent: Agent) -> None:
        cinema = settings(options)
        super().__init__(options.group, cinema, cinema.streams_port)
        self._stopwatch = Stopwatch(self, options.count)
        state = State(
            self,
            films=Films(),
            partitions=cinema.partitions,
            default_timezone=cinema.default_timezone,
        )
        self.tables.add(state)
        outgoing = Outgoing(self, cinema.partitions)
        self._deciding = Deciding(cinema, [agent], state, outgoing, lambda partition: 0)
        processing = Processing(
            self, lambda batch: batch.tp.partition, self._process, self._deciding.step
        )
        self.take(agent.topic, processing.accept)

    async def _process(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        done = await self._deciding.process(batch, records)
        self._stopwatch.add(len(records))
        return done


def app(options: Options) -> CinemaApp:
    """Return the app of that mode."""
    if options.mode == "trivial":
        return Trivial(options)
    return Full(options, AGENTS[options.mode])


if __name__ == "__main__":
    mode.loop.use("uvloop")
    work(app(msgspec.json.decode(sys.argv[1], type=Options)))
