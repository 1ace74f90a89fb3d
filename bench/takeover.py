"""From the kill of a streams worker to the first outputs of the partitions it had.

Two workers, tables with 100,000 people, a moderate load; one worker at a time is killed with -9
when both have been left in peace for a while. What is measured is what a person waits for: the
time from the kill to the first record on `outbox_urgent` of the last partition that moved.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.figures import Figure, figure
from dev.chaos.faults import Shares
from dev.chaos.figures import SETTLED
from dev.chaos.rolling import until_ready
from dev.chaos.run import Chaos, Options
from dev.chaos.run import run as run_chaos
from dev.errors import StackError
from dev.workers import STREAMS

USERS: Final = 100_000
RATE: Final = 100.0
KILLS: Final = 4


def run() -> Iterator[Figure]:
    """Measure on Apache Kafka."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(users=USERS, rate=RATE, data=Path(folder), shares=Shares.none())
        summary = asyncio.run(run_chaos(options, _kill_in_peace))
    if not summary.holds:
        raise StackError(f"the run lost or repeated something: {summary.findings}")
    for name in ("p50", "max"):
        yield figure(
            f"take-over, {USERS:,} users, {name} of {summary.take_over_alone['number']}",
            "s",
            summary.take_over_alone[name],
        )


async def _kill_in_peace(chaos: Chaos) -> None:
    for number in range(KILLS):
        await until_ready(chaos, STREAMS)
        await asyncio.sleep(SETTLED + 1)
        chaos.accidents.kill((STREAMS, number % 2))
        await asyncio.sleep(1)
    await until_ready(chaos, STREAMS)
    await asyncio.sleep(SETTLED)
