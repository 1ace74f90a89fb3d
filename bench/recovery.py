"""How soon a streams worker has its tables again: rows from the changelog, and the indexes.

The changelog of people with three months of films is read by the service itself, through its own
transport. The indexes of a million people are built in a process of its own, from rows in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from bench import servers
from bench.agents import Options, settings
from bench.figures import Figure, of_rounds
from bench.people import live, written
from bench.processes import measured
from dev.ports import free_port
from streams.app import create_app
from streams.declaring import bootstrap, declare
from streams.partitions import partition_of
from streams.settings import Settings
from streams.topics import TOPICS
from tables.films import Films
from tables.partition import Tables

PEOPLE: Final = 10_000
RATE: Final = 20_000
INDEXED: Final = 1_000_000
INDEX_LIMIT: Final = 5.0
# Rows of the changelog that belong to a person; months of films are theirs, too.
MONTHS: Final = ("2026-09", "2026-10", "2026-11")


def run() -> Iterator[Figure]:
    """Measure recovery on each broker there is, and the indexes."""
    for kind in asyncio.run(servers.brokers("recovery")):
        found = asyncio.run(_recovered(kind))
        rows = found["rows"]
        rate, name = rows / found["seconds"], f"rows recovered from the changelog, {kind}"
        yield of_rounds(name, "1/s", [rate], [RATE], "20,000 a second")
        cpu = 1e6 * found["cpu"] / rows
        yield of_rounds(f"CPU of a row recovered, {kind}", "us", [cpu], [1e6 / RATE], "50 us")
    taken = asyncio.run(measured("bench.recovery", people=INDEXED))
    for table, seconds in taken.items():
        name = f"index of {table}, 1,000,000 people"
        yield of_rounds(name, "s", [seconds], [INDEX_LIMIT], "5 s")


async def _recovered(kind: str) -> dict[str, Any]:
    async with servers.broker(kind) as url:
        with TemporaryDirectory(prefix="bench-") as folder:
            options = Options("", url, "", 0, free_port(), folder)
            rows = await _fill(options)
            told = msgspec.structs.asdict(options) | {"count": rows}
            return {"rows": rows, **await measured("bench.recovery_worker", **told)}


async def _fill(options: Options) -> int:
    """Write the changelog of people; return how many rows it has."""
    cinema = replace(settings(options), partitions=Settings().partitions)
    app = create_app(cinema)
    await declare(cinema, app.conf.id, (*TOPICS.values(), *app.own_topics))
    changelog = app.partition_tables.changelog
    count = 0
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap(cinema), acks="all", linger_ms=5)
    async with producer:
        parts = written(0, PEOPLE)
        while rows := await asyncio.to_thread(next, parts, None):
            sent = []
            for key, value in rows.items():
                user_id = key.decode().partition(":")[2].partition("|")[0]
                home = partition_of(user_id, cinema.partitions)
                sent.append(await producer.send(changelog, value, key, home))
            await asyncio.gather(*sent)
            count += len(rows)
    return count


def main() -> dict[str, float]:
    """Build the indexes of very many people; return the seconds by table."""
    tables = Tables(Films(), "UTC")
    for _ in live(tables, 0, 1):
        pass
    (user,), (watched, *_) = tables.users.rows.values(), tables.watch_history.rows.values()
    ids = [f"user-{number:08d}" for number in range(INDEXED)]
    # In no order, as a changelog is.
    ids.sort(key=hash)
    tables.users.rows = dict.fromkeys(ids, user)
    tables.watch_history.rows = {f"{one}|{month}": watched for one in ids for month in MONTHS}
    found = {}
    for view in (tables.users, tables.watch_history):
        began = time.process_time()
        view.rebuild()
        found[view.name] = time.process_time() - began
    return found | {"both": sum(found.values())}


if __name__ == "__main__":
    print(msgspec.json.encode(main()).decode())
