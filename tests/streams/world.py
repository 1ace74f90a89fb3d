"""A streams worker without Kafka: the log is a list, and a kill is an exception at a chosen place.

Everything between the transport and the log is the real thing: routing, deciding, walks, time,
tables, the order of acknowledgement. What a kill leaves is what had been sent; a new worker
recovers from that and reads again from what had been committed.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRecord
from faust.types.tuples import TP

from agents import AGENTS
from streams import topics
from streams.deciding import Deciding
from streams.jobs import Delivery, Job, decode_delivery, decode_outbox
from streams.outgoing import Outgoing
from streams.partitions import partition_of
from streams.records import Output
from streams.settings import Settings
from streams.transport import Batch
from tables.films import Films
from tables.partition import Tables

CHANGELOG = "changelog"
INPUTS = [*(agent.topic.name for agent in AGENTS), topics.CLOCK.name]


class Killed(Exception):
    """The worker is gone at this point."""


class Log(Outgoing):
    """Kafka as lists. `kill_at` counts sends down; at zero what is sent is lost or written."""

    def __init__(self, partitions: int) -> None:
        super().__init__(None, partitions)  # type: ignore[arg-type]
        self.records: defaultdict[tuple[str, int], list[ConsumerRecord]] = defaultdict(list)
        self.kill_at: int | None = None
        self.written_first = False
        self._clock = count(1_700_000_000_000)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp: int | None = None,
    ) -> ConsumerRecord:
        log = self.records[topic, partition]
        record = ConsumerRecord(
            topic=topic,
            partition=partition,
            offset=len(log),
            timestamp=timestamp if timestamp is not None else next(self._clock),
            timestamp_type=0,
            key=key,
            value=value,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            headers=tuple(headers),
        )
        log.append(record)
        return record

    async def send(self, outputs: Iterable[Output]) -> None:
        if self._last():
            raise Killed
        for output in outputs:
            partition = output.partition
            if partition is None:
                partition = partition_of(output.key or "", self._partitions)
            key = None if output.key is None else output.key.encode()
            place = (output.topic.name, partition)
            self.append(*place, key, output.value, output.headers, output.timestamp_ms)
            self.acknowledged[place] = len(self.records[place]) - 1
        self._after()

    async def send_whole(
        self,
        topic: str,
        partition: int,
        rows: Sequence[tuple[bytes, bytes | None]],
        headers: Any = (),
    ) -> int:
        if self._last():
            raise Killed
        offset = len(self.records[topic, partition])
        for key, value in rows:
            self.append(topic, partition, key, value)
        self._after()
        return offset

    def _last(self) -> bool:
        if self.kill_at is None:
            return False
        self.kill_at -= 1
        return self.kill_at < 0 and not self.written_first

    def _after(self) -> None:
        if self.kill_at is not None and self.kill_at < 0:
            raise Killed


class Memory:
    """The tables of a worker: recovered from the log's changelog, gone with the worker."""

    changelog = CHANGELOG

    def __init__(self, log: Log, films: Films, settings: Settings) -> None:
        self.partitions_held: dict[int, Tables] = {}
        for partition in range(settings.partitions):
            tables = Tables(films, settings.default_timezone)
            for record in log.records[CHANGELOG, partition]:
                tables.load(record.key, record.value)
            self.partitions_held[partition] = tables

    def tables(self, partition: int) -> Tables:
        tables = self.partitions_held[partition]
        tables.ready()
        return tables

    async def take(self, partition: int, outgoing: Outgoing) -> Tables:
        return self.tables(partition)

    async def write(self, partition: int, tables: Tables, outgoing: Outgoing) -> None:
        await outgoing.send_whole(CHANGELOG, partition, list(tables.changelog()))


class World:
    """One worker at a time over one log."""

    def __init__(self, partitions: int = 2, clock: str = "topic", **settings: Any) -> None:
        self.settings = Settings(
            **settings,
            partitions=partitions,
            clock=clock,  # type: ignore[arg-type]
            link_secret="x" * 16,
            jwt_secret="x" * 16,
            api_keys=("x" * 16,),
            data_dir=Path("unused"),
        )
        self.log = Log(partitions)
        self.films = Films()
        self.committed: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.bulk_lag = 0
        self.start()

    def start(self) -> None:
        """Start a new worker: memory from the log, offsets from what was committed."""
        self.log.kill_at = None
        #: Where the worker stands; what was committed may lie behind it.
        self.processed: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.memory = Memory(self.log, self.films, self.settings)
        self.deciding = Deciding(
            self.settings,
            AGENTS,
            self.memory,  # type: ignore[arg-type]
            self.log,
            lambda partition: self.bulk_lag,
            wall=lambda: self.now,
        )

    # -- what goes in

    def put(
        self,
        topic: str,
        value: Any,
        *,
        key: str | None = None,
        partition: int | None = None,
        at: datetime | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> ConsumerRecord:
        """Produce a record, where its user lives unless a partition is given."""
        body = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        if topic == "films" and isinstance(value, dict):
            decoded = topics.DECODERS["films"](body or b"")
            self.films.put(decoded, (at or self.now).timestamp())
        if partition is None:
            named = key or (value.get("user_id") if isinstance(value, dict) else None)
            partition = partition_of(str(named), self.settings.partitions) if named else 0
        moment = int((at or self.now).timestamp() * 1000)
        raw = None if key is None else key.encode()
        return self.log.append(topic, partition, raw, body, headers, moment)

    async def tick(self, at: datetime) -> None:
        """Let it be that time in every partition, and all that follows be done."""
        self.now = at
        for partition in range(self.settings.partitions):
            self.put("clock", {"at": at.isoformat()}, partition=partition)
        await self.run()

    # -- what is done

    async def run(self, batch: int = 500, *, commit: bool = True) -> None:
        """Process all there is, and what follows from it, until it is quiet."""
        while await self.one_round(batch, commit=commit):
            await asyncio.sleep(0)

    async def live(self, deaths: list[tuple[int, bool]], batch: int = 500) -> None:
        """Run until it is quiet, with as many workers as it takes.

        The last of `deaths`, taken off as it comes, says how many sends the worker lives for and
        whether the one that it dies at was still written.
        """
        while True:
            if deaths:
                self.log.kill_at, self.log.written_first = deaths[-1]
            try:
                await self.run(batch)
            except Killed:
                deaths.pop()
                # Commits lag behind what was processed: some of it is read again.
                for place in self.committed:
                    self.committed[place] = max(self.committed[place] - 2, 0)
                self.start()
            else:
                self.log.kill_at = None
                return

    async def one_round(self, batch: int = 500, *, commit: bool = True) -> bool:
        """Process a batch of each topic and take walks on by a slice; False if nothing was done."""
        busy = False
        for topic in INPUTS:
            for partition in range(self.settings.partitions):
                busy = await self.process(topic, partition, batch, commit=commit) or busy
        for partition in range(self.settings.partitions):
            busy = await self.deciding.step(partition) or busy
        return busy

    async def process(
        self, topic: str, partition: int, batch: int = 500, *, commit: bool = True
    ) -> bool:
        """Process a batch of a topic, and nothing that follows from it; False if none was."""
        place = (topic, partition)
        begin = max(self.processed[place], self.committed[place])
        records = self.log.records[place][begin:][:batch]
        if not records:
            return False
        done = await self.deciding.process(Batch(TP(*place), records, None, 0, 0), records)
        self.processed[place] = done.next
        if commit:
            self.committed[place] = done.next if done.durable is None else done.durable
        # A topic that stands still is offered its records in vain.
        return done.next > begin

    # -- what came of it

    def values(self, topic: str) -> list[Any]:
        """Return the JSON values of a topic, partition by partition."""
        return [json.loads(record.value) for record in self._all(topic)]

    def jobs(self, *lanes: str) -> list[Job]:
        """Return the jobs on the lanes, each once."""
        lanes = lanes or ("outbox", "outbox_urgent")
        return list({job.job_id: job for lane in lanes for job in self.sent(lane)}.values())

    def sent(self, lane: str) -> list[Job]:
        """Return the jobs on a lane, with those that were sent again."""
        found = (decode_outbox(record.value) for record in self._all(lane))
        return [job for job in found if isinstance(job, Job)]

    def held(self) -> list[Job]:
        """Return the jobs that were sent to wait, each once."""
        return list({job.job_id: job for job in map(_job, self._all("held"))}.values())

    def deliveries(self) -> list[Delivery]:
        """Return what was decided against or put off, each once."""
        found = [decode_delivery(record.value) for record in self._all("deliveries")]
        return list({(one.job_id, one.status): one for one in found}.values())

    def tables(self, user_id: str) -> Tables:
        """Return the tables of the partition where that user lives."""
        return self.memory.tables(partition_of(user_id, self.settings.partitions))

    def outcomes(self, topic: str) -> dict[str, int]:
        """Return how the records of a topic ended, over all partitions."""
        found: defaultdict[str, int] = defaultdict(int)
        for partition in range(self.settings.partitions):
            book = self.memory.tables(partition).counts.book
            for outcome, number in book.records.get(topic, {}).items():
                found[outcome] += number
        return dict(found)

    def job_ids(self) -> dict[str, int]:
        """Return the number of job ids by kind, over all partitions."""
        found: defaultdict[str, int] = defaultdict(int)
        for partition in range(self.settings.partitions):
            for kind, number in self.memory.tables(partition).counts.book.jobs.items():
                found[kind] += number
        return dict(found)

    def _all(self, topic: str) -> list[ConsumerRecord]:
        places = [(topic, partition) for partition in range(self.settings.partitions)]
        return [record for place in places for record in self.log.records[place]]


def _job(record: ConsumerRecord) -> Job:
    job = decode_outbox(record.value)
    assert isinstance(job, Job)
    return job
