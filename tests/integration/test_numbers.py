"""When everything has happened, the contract's equations hold."""

from __future__ import annotations

import pytest

from dev.logs import end_offsets
from streams.topics import INPUTS
from tests.integration.cinema import OUTCOMES, Cinema
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
