"""A recovery that has ended ends its worker, which else would stand still for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from faust.tables.recovery import ServiceStopped

from sender.app import create_app as create_sender
from streams.app import create_app
from streams.recovery import Recovery
from streams.settings import Settings

SETTINGS = Settings(jwt_secret="s" * 32, link_secret="s" * 32, api_keys=("k" * 32,))


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give why workers were ended."""
    found: list[str] = []
    monkeypatch.setattr(Recovery, "fatal", found.append)
    return found


def recovery_of_a_worker() -> Recovery:
    """Return the recovery of a streams worker that is not started."""
    tables: Any = create_app(SETTINGS).tables
    found: Recovery = tables.recovery
    return found


@pytest.mark.parametrize("create", [create_app, create_sender])
async def test_both_workers_have_it(create: Callable[[Settings], Any]) -> None:
    assert isinstance(create(SETTINGS).tables.recovery, Recovery)


async def test_a_request_that_kafka_does_not_answer_in_time_ends_the_worker(
    ended: list[str],
) -> None:
    recovery = recovery_of_a_worker()

    async def recover() -> None:
        # As Faust's own task does with each of its requests.
        try:
            await recovery._wait(asyncio.sleep(60), timeout=0.01)
        except ServiceStopped:
            return

    await recovery._execute_task(recover())
    assert len(ended) == 1


async def test_a_request_that_is_cancelled_ends_the_worker(ended: list[str]) -> None:
    recovery = recovery_of_a_worker()

    async def recover() -> None:
        raise asyncio.CancelledError

    await recovery._execute_task(recover())
    assert len(ended) == 1


async def test_a_worker_that_stops_ends_its_recovery_in_peace(ended: list[str]) -> None:
    recovery = recovery_of_a_worker()

    async def recover() -> None:
        recovery._stopped.set()

    await recovery._execute_task(recover())
    assert ended == []
