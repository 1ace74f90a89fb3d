"""Redis and mail servers that go away under load: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from dev.ports import free_port
from tests.alone.sending import Sending, senders
from tests.conftest import eventually
from tests.sender.smtpd import ScriptedServer, serving
from tests.worker import Worker

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

# Of one core, while nothing can be sent. A worker that is idle takes 3 to 13 %, a loop that is busy
# all it gets.
BUSY = 0.4
WATCHED = 5.0
# What a slice a partition and lane, and a few polls, may add to a worker.
GROWTH = 50 << 20


@pytest_asyncio.fixture(loop_scope="session")
async def sending(broker_kind: str, tmp_path: Path) -> AsyncIterator[Sending]:
    async with senders(broker_kind, tmp_path) as sending:
        yield sending


async def watched(worker: Worker) -> tuple[float, int]:
    """Watch a worker for a while; return its share of a core and how many bytes it grew by."""
    process = psutil.Process(worker.pid)
    before, size = process.cpu_times(), process.memory_info().rss
    await asyncio.sleep(WATCHED)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return used / WATCHED, process.memory_info().rss - size


async def says_that_redis_is_away(worker: Worker) -> bool:
    found = await worker.gauges()
    paused = found.total("cinema_lane_paused", lane="bulk") == 1
    return (
        paused
        and found.total("cinema_rows_missing") == 1
        and "redis: does not answer" in await worker.waits_for()
        and not await worker.ready()
    )


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed and started again"])
async def test_redis_away_in_the_middle_is_waited_for_and_each_mail_comes_once(
    sending: Sending, killed: bool
) -> None:
    sending.smtpd.delays["end of data"] = 0.1
    worker = await sending.worker(MAILS_IN_FLIGHT=16)
    jobs = await sending.load("outbox", 600)

    async def some_came() -> bool:
        return len(sending.smtpd.mails) > 100

    await eventually(some_came, 60)
    redis = sending.redis.child
    redis.signal(signal.SIGKILL if killed else signal.SIGSTOP)
    if killed:
        await redis.wait()
    at_once = len(sending.smtpd.mails)
    await eventually(lambda: says_that_redis_is_away(worker), 30)
    used, grown = await watched(worker)
    assert len(sending.smtpd.mails) <= at_once + 8, "no more than were in flight"
    if killed:
        await redis.start()
    else:
        redis.signal(signal.SIGCONT)
    await worker.until_ready(30)
    mails = await sending.all_came(jobs)
    print(f"\nwithout Redis: {used:.0%} of a core, {grown >> 20} MiB more")
    assert len(mails) == len(jobs) and set(mails.values()) == {1}
    found = await worker.gauges()
    assert found.total("cinema_maybe_sent_twice_total") == 0
    assert found.total("cinema_lane_jobs", outcome="sent") == len(jobs)
    assert used < BUSY and grown < GROWTH


async def test_a_mail_server_away_under_load_costs_nothing_and_gets_everything_when_it_is_back(
    sending: Sending,
) -> None:
    port = free_port()
    worker = await sending.worker(SMTP=f"smtp://127.0.0.1:{port}?starttls=never")
    jobs = await sending.load("outbox", 3000) + await sending.load("outbox_urgent", 100)

    async def paused() -> bool:
        found = await worker.gauges()
        return (
            found.total("cinema_lane_paused") == 2
            and found.total("cinema_smtp_circuit", state="closed") == 0
        )

    await eventually(paused, 60)
    assert f"every mail server is away: 127.0.0.1:{port}" in await worker.waits_for()
    assert await worker.ready(), "its pages work all the same"
    used, grown = await watched(worker)
    found = await worker.gauges()
    # A slice a partition and lane, at most.
    assert found.total("cinema_in_hand") <= 2 * 4 * 100
    async with serving(ScriptedServer(), port) as back:
        sending.smtpd = back
        mails = await sending.all_came(jobs, 90)
    print(f"\nwithout a mail server: {used:.0%} of a core, {grown >> 20} MiB more")
    assert len(mails) == len(jobs) and set(mails.values()) == {1}
    outcomes = {(one["status"], one["attempt"]) for one in await sending.records("deliveries")}
    assert outcomes == {("sent", 0)}, "each kept its attempt"
    assert used < BUSY and grown < GROWTH


async def test_mails_that_are_refused_for_a_while_go_round_over_held_and_come_once(
    sending: Sending,
) -> None:
    # Tries after 0.3, 3 and 18 s.
    scale = 0.005
    sending.smtpd.always["RCPT"] = b"451 4.3.0 not now\r\n"
    worker = await sending.worker(RETRY_SCALE=scale)
    await sending.worker("streams.app", RETRY_SCALE=scale)
    jobs = await sending.load("outbox", 300)

    async def tried_twice() -> bool:
        return (await worker.gauges()).total("cinema_lane_jobs", outcome="retrying") >= 600

    await eventually(tried_twice, 60)
    del sending.smtpd.always["RCPT"]
    mails = await sending.all_came(jobs, 60)
    assert len(mails) == len(jobs) and set(mails.values()) == {1}
    deliveries = await sending.records("deliveries")
    sent = [one["attempt"] for one in deliveries if one["status"] == "sent"]
    assert len(sent) == len(jobs) and min(sent) >= 2
    assert (await worker.gauges()).total("cinema_maybe_sent_twice_total") == 0
