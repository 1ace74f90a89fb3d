"""Blows hit the process that pids.json names, and what happened is written down."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest
import pytest_asyncio

from dev.chaos import accidents
from dev.chaos.accidents import Accident, Accidents
from dev.chaos.figures import Owners, longest_gap, take_overs
from dev.chaos.maillog import Line
from tests.conftest import eventually

SLEEPER = "import time; time.sleep(60)"


@pytest_asyncio.fixture
async def sleepers() -> AsyncIterator[list[Process]]:
    """Give processes that do nothing, as many as a stack has."""
    found = [await asyncio.create_subprocess_exec(sys.executable, "-c", SLEEPER) for _ in range(6)]
    yield found
    for one in found:
        if one.returncode is None:
            one.kill()
            await one.wait()


def written(data: Path, sleepers: list[Process]) -> None:
    """Write pids.json as the stack does."""
    broker, redis, *workers = (one.pid for one in sleepers)
    pids = {"broker": broker, "redis": redis, "streams": workers[:2], "sender": workers[2:]}
    (data / "pids.json").write_bytes(msgspec.json.encode(pids))


async def test_a_kill_hits_that_worker_alone_and_once(
    tmp_path: Path, sleepers: list[Process]
) -> None:
    written(tmp_path, sleepers)
    blows = Accidents(tmp_path, seed=1)
    blows.kill(("sender", 1))
    assert await sleepers[5].wait() == -signal.SIGKILL
    # Not replaced yet: a second blow finds nobody.
    blows.kill(("sender", 1))
    assert [one.pid for one in blows.past] == [sleepers[5].pid]
    assert all(one.returncode is None for one in sleepers[:5])


async def test_a_death_that_nobody_asked_for_is_noted(
    tmp_path: Path, sleepers: list[Process]
) -> None:
    written(tmp_path, sleepers)
    blows = Accidents(tmp_path, seed=1)
    watch = asyncio.create_task(blows.watch())
    blows.kill(("streams", 0))
    # Both slots have another process now; one of the two was struck.
    written(tmp_path, [*sleepers[:2], sleepers[0], sleepers[1], *sleepers[4:]])

    async def noted() -> bool:
        return blows.count("death") > 0

    await eventually(noted)
    watch.cancel()
    assert [(one.what, one.who) for one in blows.past] == [
        ("kill", ("streams", 0)),
        ("death", ("streams", 1)),
    ]


async def test_what_is_stopped_goes_on_when_the_dice_are_put_away(
    tmp_path: Path, sleepers: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, sleepers)
    monkeypatch.setattr(accidents, "PAUSE", (2.0, 2.0))
    monkeypatch.setattr(accidents, "STOPS", 101)
    monkeypatch.setattr(accidents, "STOPPED", (60.0, 60.0))
    blows = Accidents(tmp_path, seed=1)
    striking = asyncio.create_task(blows.strike())
    processes = [psutil.Process(one.pid) for one in sleepers]

    async def one_stopped() -> bool:
        return [one.status() for one in processes].count(psutil.STATUS_STOPPED) == 1

    await eventually(one_stopped)
    striking.cancel()
    await asyncio.gather(striking, return_exceptions=True)
    assert psutil.STATUS_STOPPED not in [one.status() for one in processes]
    assert [one.what for one in blows.past] == ["stop"]


async def test_an_outage_is_of_kafka_and_redis_by_turns(
    tmp_path: Path, sleepers: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, sleepers)
    monkeypatch.setattr(accidents, "CALM", (0.0, 0.0))
    monkeypatch.setattr(accidents, "OUTAGE", 0.1)
    monkeypatch.setattr(accidents, "WAYS", ("outage",))
    blows = Accidents(tmp_path, seed=1)
    breaking = asyncio.create_task(blows.outages())

    async def four() -> bool:
        return len(blows.past) >= 4

    await eventually(four)
    breaking.cancel()
    for turn in (blows.past[:2], blows.past[2:4]):
        assert {one.app for one in turn} == {"broker", "redis"}
    assert all(one.returncode is None for one in sleepers)


class Had(Owners):
    """Workers that had the same partitions all the time."""

    def __init__(self) -> None:
        pass

    def at(self, number: int, moment: float) -> frozenset[int]:
        return frozenset({0, 1} if number == 0 else {2, 3})


def kill(number: int, at: float) -> Accident:
    return Accident("kill", ("streams", number), 1, at, at)


def test_a_take_over_lasts_until_the_last_partition_that_moved_speaks_again() -> None:
    outputs = {0: [99.0, 104.0, 105.0], 1: [99.5, 107.0], 2: [100.1], 3: []}
    (one,) = take_overs([kill(0, 100.0)], Had(), outputs)
    assert (one.seconds, one.partitions, one.alone) == (7.0, 2, True)


@pytest.mark.parametrize(
    ("other", "alone"),
    [
        (kill(1, 95.0), False),
        (kill(1, 103.0), False),
        (kill(1, 80.0), True),
        (kill(1, 108.0), True),
        (Accident("outage", ("broker", None), 9, 92.0, 102.0), False),
        (Accident("kill", ("sender", 0), 2, 101.0, 101.0), True),
    ],
)
def test_a_take_over_counts_as_one_with_a_survivor_where_there_was_one(
    other: Accident, alone: bool
) -> None:
    outputs = {0: [107.0], 1: [106.0], 2: [120.0], 3: [120.0]}
    first = take_overs([kill(0, 100.0), other], Had(), outputs)[0]
    assert (first.seconds, first.alone) == (7.0, alone)


def test_the_longest_gap_is_between_mails_that_somebody_waits_for() -> None:
    letter, episode = ["zql0000001z"], ["zqe0000002z"]
    mails = [
        *(Line(at, "taken", marks=letter) for at in (11.0, 12.0, 20.0)),
        Line(15.0, "taken", marks=episode),
        Line(16.0, "refused", marks=letter),
    ]
    assert longest_gap(mails, 10.0, 22.0) == 8.0
    assert longest_gap(mails, 10.0, 40.0) == 20.0
