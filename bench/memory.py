"""What a person takes in a streams worker's memory: profile, marks, three months of 30 films each.

Once as they come, and once as recovered from the changelog; with all indexes. What is counted is
what the process has grown by, in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from typing import Final

import msgspec
import psutil

from bench.figures import Figure, of_rounds
from bench.people import BATCH, live, written
from bench.processes import measured
from tables.films import Films
from tables.partition import Tables
from tables.watch_history import MONTH_ENTRY

PEOPLE: Final = 10_000
# A million people in 3 GB.
LIMIT: Final = 3_000
WAYS: Final = ("live", "recovered")


class Options(msgspec.Struct, frozen=True):
    """How they come into memory."""

    way: str


def run() -> Iterator[Figure]:
    """Measure, and yield bytes a person."""
    for way in WAYS:
        found = asyncio.run(measured("bench.memory", way=way))
        name = f"memory of a person with {found['watches']} watches, {way}"
        yield of_rounds(name, "B", [found["bytes"]], [LIMIT], "3 kB")


def main(options: Options) -> dict[str, float]:
    """Fill a partition and return what a person takes in it."""
    tables = Tables(Films(), "UTC")
    tables.ready()
    # The first ones bring what all share: zones, films, marks.
    _fill(tables, options.way, 0, BATCH)
    before = _used()
    _fill(tables, options.way, BATCH, PEOPLE)
    tables.ready()
    watches = sum(len(row.packed) // MONTH_ENTRY.size for row in tables.watch_history.rows.values())
    people = len(tables.users.known)
    return {"bytes": (_used() - before) / PEOPLE, "watches": watches // people}


def _fill(tables: Tables, way: str, first: int, number: int) -> None:
    if way == "live":
        for _ in live(tables, first, number):
            pass
        return
    for rows in written(first, number):
        for key, value in rows.items():
            tables.load(key, value)


def _used() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    print(msgspec.json.encode(main(msgspec.json.decode(sys.argv[1], type=Options))).decode())
