"""`python -m streams reconcile` beside a stack of its own: green, and red with the id."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.conftest import Up, eventually
from tests.integration.cinema import Cinema
from tests.integration.commands import Commands
from tests.integration.test_restarts import frozen

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(start_up: Callable[..., Up]) -> AsyncIterator[Cinema]:
    """Give a stack whose numbers a test may spoil."""
    up = start_up("--clock", "topic")
    cinema = Cinema(up)
    await cinema.open()
    yield cinema
    await cinema.close()
    up.stop()


@pytest.fixture(scope="module")
def run(own: Cinema, broker_kind: str) -> Commands:
    return Commands(own.up.addresses, broker_kind)


async def test_a_healthy_stack_adds_up(own: Cinema, run: Commands) -> None:
    people = [await own.person() for _ in range(5)]
    for user in people:
        wrong = (own.home(user) + 1) % own.partitions
        await own.send("activity", {"user_id": user, "body": "b"}, user, partition=wrong)
        await own.send("activity", {"user_id": user}, user)
    await own.send("weekly_reminder", {"event": "send_reminder"})
    await own.settle()
    ran = await run("streams", "reconcile")
    assert (ran.status, ran.lines[-1]) == (0, "all adds up"), ran.out + ran.errors
    (activity,) = (line for line in ran.lines if line.startswith("activity ") and "forw" in line)
    assert " ".join(activity.split()) == (
        "activity 15 = 0 applied + 5 decided + 0 duplicate + 5 forwarded + 5 dead; "
        "0 not processed yet"
    )
    (jobs,) = (line for line in ran.lines if line.startswith("activity ") and "queued" in line)
    assert " ".join(jobs.split()) == (
        "activity 5 = 0 queued + 5 sent + 0 skipped + 0 deferred + 0 retrying + 0 failed"
    )


async def test_a_part_adds_up_by_what_lies_on_the_topics(own: Cinema, run: Commands) -> None:
    part = await run("streams", "reconcile", "--since", "1h", "--until", "2099-01-01")
    assert (part.status, part.lines[-1]) == (0, "all adds up"), part.out
    assert "activity                  15 = 5 dead + 5 forwarded + 5 others" in part.out


async def test_a_job_whose_delivery_is_missing_is_named_and_the_status_says_so(
    own: Cinema, run: Commands
) -> None:
    user = own.name()
    await own.send("activity", {"user_id": user, "body": "real"}, user)
    await own.settle()
    (real,) = own.jobs(user)
    lost = {name: value for name, value in real.items() if name != "topic"}
    lost["job_id"] = uuid4().hex
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with frozen(own.up):
        os.kill(own.up.pids["sender"][0], signal.SIGKILL)
        await own.send("outbox_urgent", lost, user, at=hour_ago)
        ran = await run("streams", "reconcile")
        patient = await run("streams", "reconcile", "--since", "2h", "--patience", "2h")
    assert ran.status == 1
    (line,) = (line for line in ran.lines if line.startswith(f"job {lost['job_id']}"))
    assert "(activity): is queued, rests nowhere" in line and "outbox_urgent/" in line
    # Nobody has decided it: that the books say, too.
    assert "activity: 7 job ids are on the topics, the books say 6" in ran.lines
    assert patient.status == 0, patient.out

    async def told() -> bool:
        await own.settle()
        return any(one["job_id"] == lost["job_id"] for one in own.log.deliveries[user])

    await eventually(told, 60)
    after = await run("streams", "reconcile")
    assert after.status == 1 and lost["job_id"] not in after.out


async def test_a_wrong_time_and_a_broker_that_is_away_are_one_line_each(run: Commands) -> None:
    wrong = await run("streams", "reconcile", "--since", "yesterday")
    assert wrong.status == 2 and "'yesterday' is no time" in wrong.errors.splitlines()[-1]
    away = await run("streams", "reconcile", BROKER="kafka://127.0.0.1:9")
    assert away.status == 75 and away.errors.count("\n") == 1
