"""Senders stopped with SIGTERM under load: none lost, none twice, down in ten seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.alone.sending import Sending, senders
from tests.conftest import eventually
from tests.sender.smtpd import HANG

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

# The limit for a worker to be down in.
DOWN = 10.0


@pytest_asyncio.fixture(loop_scope="session")
async def sending(broker_kind: str, tmp_path: Path) -> AsyncIterator[Sending]:
    async with senders(broker_kind, tmp_path) as sending:
        yield sending


async def test_senders_restarted_one_by_one_under_load_lose_nothing_and_say_nothing_twice(
    sending: Sending,
) -> None:
    sending.smtpd.delays["end of data"] = 0.2
    workers = [await sending.worker(), await sending.worker()]
    jobs = await sending.load("outbox", 1500) + await sending.load("outbox_urgent", 100)
    took = []
    for worker in workers:
        before = len(sending.smtpd.mails)

        async def some_more(before: int = before) -> bool:
            return len(sending.smtpd.mails) >= before + 150

        await eventually(some_more, 60)
        took.append(await worker.stop())
        workers.append(await sending.worker())
        if len(workers) == 4:
            break
    mails = await sending.all_came(jobs)
    print(f"\ndown after {', '.join(f'{one:.1f}' for one in took)} s")
    assert len(mails) == len(jobs) and set(mails.values()) == {1}
    assert max(took) < DOWN
    for worker in workers[2:]:
        found = await worker.gauges()
        assert found.total("cinema_maybe_sent_twice_total") == 0
        assert found.total("cinema_in_hand") == 0


async def test_a_server_that_does_not_answer_holds_no_worker_up_and_its_mails_are_counted(
    sending: Sending,
) -> None:
    sending.smtpd.always["end of data"] = HANG
    first = await sending.worker(MAILS_IN_FLIGHT=6)
    jobs = await sending.load("outbox", 300)

    async def in_flight() -> bool:
        return sending.smtpd.commands.count("DATA") == 3

    await eventually(in_flight, 30)
    await asyncio.sleep(0.5)
    took = await first.stop()
    print(f"\ndown after {took:.1f} s")
    assert took < DOWN
    assert await in_flight(), "nothing was begun after the signal, nor beyond the lane's share"
    del sending.smtpd.always["end of data"]
    second = await sending.worker()
    mails = await sending.all_came(jobs)
    assert len(mails) == len(jobs) and set(mails.values()) == {1}
    found = await second.gauges()
    assert found.total("cinema_maybe_sent_twice_total") == 3
    assert found.total("cinema_lane_jobs", outcome="foreign") == 0, "nobody waited for a lease"
