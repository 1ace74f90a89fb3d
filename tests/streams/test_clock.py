"""The wall clock's ticks: one a second in each partition that the worker owns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types.tuples import TP

from streams import clock
from streams.clock import Ticker, tick_of
from streams.errors import BrokerUnavailable
from streams.events import now_utc
from streams.records import Output


class Broker:
    """Takes ticks, but not the first time."""

    def __init__(self) -> None:
        self.rounds: list[Sequence[Output]] = []

    async def try_to_send(self, outputs: Sequence[Output], within: float) -> None:
        assert within == pytest.approx(5 * clock.INTERVAL)
        self.rounds.append(outputs)
        if len(self.rounds) == 1:
            raise BrokerUnavailable("away")


async def test_each_partition_owned_is_told_the_time_once_an_interval_whatever_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert clock.INTERVAL == 1.0
    monkeypatch.setattr(clock, "INTERVAL", 0.05)
    owned = {TP("clock", 1), TP("clock", 5), TP("users", 1), TP("users", 5), TP("users", 7)}
    app: Any = SimpleNamespace(consumer=SimpleNamespace(assignment=lambda: owned))
    broker: Any = Broker()
    before = now_utc()
    async with Ticker(app, broker):
        await asyncio.sleep(0.5)
    assert 5 <= len(broker.rounds) <= 11
    times = []
    for ticks in broker.rounds:
        assert {tick.topic.name for tick in ticks} == {"clock"}
        assert sorted(tick.partition or 0 for tick in ticks) == [1, 5]
        (at,) = {tick_of(tick.value) for tick in ticks}
        times.append(at)
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= now_utc()
