"""The same agent on Faust's own transport, written as Faust's documentation has it.

It waits for no acknowledgement and loses records when it is killed: it is what one would write
without a boundary, not what could be used instead.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import faust
import mode.loop
import msgspec

from bench.agents import Options, Stopwatch, mark_and_tell, settings, work
from streams import topics
from streams.decisions import Arrival
from streams.faust_app import COMMIT_INTERVAL
from streams.jobs import Cause, Job, encode
from streams.settings import Settings
from streams.topics import DECODERS
from tables.person import UserRow

_row = msgspec.json.Decoder(UserRow).decode


class Rows:
    """A Faust table of JSON, as the rows that the agent reads and writes."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def of(self, user_id: str) -> UserRow:
        """Return the person's row, a new one for someone never heard of."""
        found = self._table.get(user_id.encode())
        return _row(found) if found else UserRow(user_id=user_id)

    def __setitem__(self, user_id: str, row: UserRow) -> None:
        self._table[user_id.encode()] = encode(row)


def app(options: Options) -> faust.App:
    """Return the app of that mode, `trivial` or `full`."""
    cinema = settings(options)
    built = faust.App(
        options.group,
        broker=options.broker.replace("embedded://", "kafka://"),
        datadir=cinema.data_dir,
        store="memory://",
        topic_partitions=cinema.partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_commit_interval=COMMIT_INTERVAL,
        producer_acks=-1,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    source = built.topic(topics.ACTIVITY.name, partitions=cinema.partitions, **raw)
    stopwatch = Stopwatch(built, options.count)
    decode = DECODERS[topics.ACTIVITY.name]
    if options.mode == "trivial":

        async def trivial(values: AsyncIterable[bytes]) -> None:
            async for value in values:
                decode(value)
                stopwatch.add(1)

        built.agent(source)(trivial)
        return built

    outbox = built.topic(topics.OUTBOX_URGENT.name, partitions=cinema.partitions, **raw)
    table = built.Table(
        "users", partitions=cinema.partitions, schema=faust.Schema(**raw), key_type=bytes
    )
    users = Rows(table)
    tables: Any = SimpleNamespace(users=users)

    async def full(values: Any) -> None:
        async for event in values.events():
            record = event.message
            decoded = decode(event.value)
            user = users.of(decoded.user_id)
            for job in _decide(decoded, user, tables, record, cinema):
                await outbox.send(key=job.user_id.encode(), value=encode(job))
            stopwatch.add(1)

    built.agent(source)(full)
    return built


def _decide(event: Any, user: UserRow, tables: Any, record: Any, cinema: Settings) -> list[Job]:
    at = datetime.fromtimestamp(record.timestamp, UTC)
    arrival = Arrival(
        cause=Cause(record.topic, record.partition, record.offset),
        at=at,
        now=at,
        identity=f"{record.topic}/{record.partition}/{record.offset}",
        partition=record.partition,
        settings=cinema,
    )
    assert mark_and_tell.person is not None
    decisions = mark_and_tell.person(event, user, tables, arrival)
    return [decision for decision in decisions if isinstance(decision, Job)]


if __name__ == "__main__":
    mode.loop.use("uvloop")
    work(app(msgspec.json.decode(sys.argv[1], type=Options)))
