"""One task a key: batches in turn, work in between, and nothing waits for another's task."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any

import pytest

from streams.processing import Done, Processing
from tests.streams.test_transport import Consuming, batch


class Worker:
    """A processing over a consumer, and what it did."""

    def __init__(self, step: Any = None) -> None:
        self.consumer = Consuming(5)
        self.done: list[tuple[str, int]] = []
        self.deaths: list[str] = []
        self.held: dict[int, asyncio.Event] = {}
        app = SimpleNamespace(consumer=self.consumer, should_stop=False)
        self.processing = Processing(
            app,  # type: ignore[arg-type]
            lambda batch: batch.tp,
            self.process,
            step,
            fatal=self.deaths.append,
        )

    async def process(self, batch: Any, records: Any) -> Done:
        first = records[0].offset
        if first in self.held:
            await self.held[first].wait()
        if first == 13:
            raise RuntimeError("no such luck")
        self.done.append((batch.tp.topic, first))
        return Done(records[-1].offset + 1)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_batches_of_a_partition_are_processed_in_turn_and_then_may_be_committed() -> None:
    worker = Worker()
    worker.processing.accept(batch(5, 6))
    worker.processing.accept(batch(7, 9))
    await settle()
    assert worker.done == [("registration", 5), ("registration", 7)]
    assert list(worker.consumer.processed.values()) == [10]
    await worker.processing.stop()


async def test_a_partition_that_waits_stops_no_other() -> None:
    worker = Worker()
    worker.held[5] = asyncio.Event()
    other = batch(5, 6)._replace(tp=batch(5, 6).tp._replace(topic="users"))
    worker.consumer.mine = {batch(5, 6).tp, other.tp}
    worker.processing.accept(batch(5, 6))
    await settle()
    worker.held_once = worker.held.pop(5)  # type: ignore[attr-defined]
    worker.processing.accept(other)
    await settle()
    assert worker.done == [("users", 5)]
    worker.held_once.set()  # type: ignore[attr-defined]
    await settle()
    assert worker.done == [("users", 5), ("registration", 5)]
    await worker.processing.stop()


async def test_work_in_between_stands_behind_the_batches_that_wait() -> None:
    steps: list[int] = []

    async def step(key: Hashable) -> bool:
        steps.append(len(worker.done))
        return len(steps) < 3

    worker = Worker(step)
    worker.processing.accept(batch(5, 6))
    worker.processing.accept(batch(7, 9))
    await settle()
    assert steps == [2, 2, 2]
    await worker.processing.stop()


async def test_a_task_that_is_woken_works_though_no_batch_has_come() -> None:
    steps: list[Hashable] = []

    async def step(key: Hashable) -> bool:
        steps.append(key)
        return len(steps) == 1

    worker = Worker(step)
    worker.processing.wake(3)
    await settle()
    assert steps == [3, 3]
    await worker.processing.stop()


def of(topic: str, first: int, last: int) -> Any:
    """Return a batch of a topic, which has a task of its own here."""
    found = batch(first, last)
    return found._replace(tp=found.tp._replace(topic=topic))


async def test_work_in_between_is_done_by_one_task_at_a_time_each_in_its_turn() -> None:
    steps: list[str] = []
    flushed = asyncio.Semaphore(0)

    async def step(key: Any) -> bool:
        steps.append(key.topic)
        await flushed.acquire()
        return True

    worker = Worker(step)
    names = ("users", "registration", "activity")
    worker.consumer.mine = {of(name, 5, 6).tp for name in names}
    for name in names:
        worker.processing.accept(of(name, 5, 6))
    await settle()
    assert steps == ["users"]
    for _ in range(5):
        flushed.release()
        await settle()
    assert steps == [*names, *names]
    await worker.processing.stop()


async def test_a_batch_does_not_wait_for_the_turn_of_its_task() -> None:
    flushed = asyncio.Event()

    async def step(key: Any) -> bool:
        await flushed.wait()
        return False

    worker = Worker(step)
    worker.consumer.mine = {of(name, 5, 6).tp for name in ("users", "activity")}
    for name in ("users", "activity"):
        worker.processing.accept(of(name, 5, 6))
    await settle()
    worker.processing.accept(of("activity", 7, 9))
    await settle()
    assert worker.done == [("users", 5), ("activity", 5), ("activity", 7)]
    flushed.set()
    await worker.processing.stop()


async def test_a_batch_that_is_dropped_moves_no_offset_and_is_no_longer_outstanding() -> None:
    worker = Worker()
    worker.consumer.outstanding[batch(5, 6).tp] = 2
    worker.processing.accept(batch(3, 4))
    await settle()
    assert worker.done == []
    assert list(worker.consumer.processed.values()) == [5]
    assert worker.consumer.outstanding[batch(5, 6).tp] == 1
    await worker.processing.stop()


async def test_a_task_that_raises_ends_the_worker_instead_of_standing_still(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker()
    worker.consumer.processed = {batch(13, 13).tp: 13}
    worker.processing.accept(batch(13, 13))
    await settle()
    assert worker.deaths == ["a partition's task raised RuntimeError"]
    assert list(worker.consumer.processed.values()) == [13]
