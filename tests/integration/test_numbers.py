"""When everything has happened, the contract's equations hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from dev.logs import end_offsets
from streams.kinds import KINDS
from streams.topics import CONFIRMATIONS, HELD, INPUTS
from tests.conftest import eventually
from tests.integration.cinema import OUTCOMES, Cinema, Gauges
from tests.integration.commands import Commands

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_the_numbers_add_up(cinema: Cinema) -> None:
    wrong = await cinema.wrong_numbers()
    assert not wrong, "\n".join(wrong)


async def test_the_command_that_reads_all_topics_says_so_too(
    cinema: Cinema, commands: Commands
) -> None:
    await cinema.settle()
    ran = await commands("streams", "reconcile")
    assert (ran.status, ran.lines[-1]) == (0, "all adds up"), ran.out + ran.errors


def waiting(found: Gauges) -> float:
    return sum(found.total("cinema_deliveries", status=one) for one in ("deferred", "retrying"))


async def without_claims(cinema: Cinema) -> Gauges:
    """Return the numbers when no job waits for the claim of a sender that was killed to run out.

    Such a one rests and nothing was said of it yet: for 15 s, and until the next tick.
    """
    found = Gauges()

    async def none_waits() -> bool:
        nonlocal found
        await cinema.advance(seconds=20)
        found = await cinema.settle()
        return found.total("cinema_deferred") == waiting(found)

    await eventually(none_waits, 40, 2)
    return found


async def test_the_metrics_have_both_equations_as_the_alerts_ask_for_them(cinema: Cinema) -> None:
    found = await without_claims(cinema)
    for topic in (topic.name for topic in (*INPUTS, HELD, CONFIRMATIONS)):
        assert found.values("cinema_records", "outcome") == set(OUTCOMES)
        for partition in map(str, range(cinema.partitions)):
            labels = {"topic": topic, "partition": partition}
            records = found.total("cinema_records", **labels)
            assert records == found.total("cinema_applied", **labels), labels
    assert found.values("cinema_job_ids", "kind") == set(KINDS)
    for kind in KINDS:
        outcomes = found.total("cinema_deliveries", kind=kind)
        assert found.total("cinema_job_ids", kind=kind) == outcomes, kind
    assert found.total("cinema_deferred") == waiting(found)


async def test_every_outcome_is_shown_to_its_person_with_a_reason(cinema: Cinema) -> None:
    late, broken = await cinema.person(timezone="UTC"), await cinema.person(timezone="UTC")
    await cinema.film()
    await cinema.to_daytime()
    await cinema.tick(cinema.now.replace(hour=22))
    await cinema.send("weekly_reminder", {"event": "send_reminder", "users": [late]})
    # The week's reminder is out already.
    await cinema.send("weekly_reminder", {"event": "send_reminder", "users": [late]})
    name = cinema.name("campaign")
    campaign = {
        "campaign_id": name,
        "kind": "activity",
        "at": cinema.now.timestamp() + 60,
        "audience": {"users": [broken]},
        "context": {"body": "x"},
        "template": "no_such_template",
    }
    await cinema.send("campaigns", campaign, name)
    await cinema.advance(minutes=2)
    await cinema.advance(hours=12)
    seen = set()
    for user, told in cinema.log.deliveries.items():
        if user in cinema.log.erased or len(told) > 100:
            continue
        assert all(one["reason"] for one in told), told
        shown = await cinema.get(f"/users/{quote(user, safe='')}/deliveries")
        by_time = [datetime.fromisoformat(one["at"]) for one in shown]
        assert by_time == sorted(by_time, reverse=True)
        assert {key(one) for one in shown} == {key(one) for one in told}
        seen |= {one["status"] for one in told}
    assert seen >= {"sent", "skipped", "deferred", "failed"}


def key(delivery: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(delivery[name]) for name in ("job_id", "status", "reason", "attempt"))


async def test_every_record_on_every_topic_has_an_outcome(cinema: Cinema) -> None:
    found = await cinema.settle()
    for topic in INPUTS:
        ends = await end_offsets(cinema.up.addresses.broker, topic.name)
        counted = sum(
            found.total("cinema_records", topic=topic.name, outcome=outcome) for outcome in OUTCOMES
        )
        assert counted == sum(ends.values()), topic.name


async def test_every_job_has_come_to_an_end(cinema: Cinema) -> None:
    statuses = cinema.log.statuses()
    open_jobs = {
        job["job_id"]: statuses.get(job["job_id"])
        for jobs in cinema.log.jobs.values()
        for job in jobs
        if statuses.get(job["job_id"], ("", ""))[1] not in ("sent", "skipped", "failed")
    }
    resting = (await cinema.settle()).total("cinema_deferred")
    assert len(open_jobs) == resting, open_jobs
