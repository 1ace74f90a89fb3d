"""Addresses that nothing is sent to."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from sender.channels import Outcome
from sender.ledger import Ledger
from sender.suppressions import Suppressions, lifting, record
from sender.verdicts import Verdict
from streams.jobs import address_hash
from tests.sender.conftest import NOW, job_of

UNKNOWN = "550 5.1.1 unknown"
SUPPRESSED = Verdict("suppressed", outcome=Outcome("skipped", f"suppressed: {UNKNOWN}"))


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis, "one", "1")


async def test_who_claims_a_mail_hears_that_its_address_is_suppressed_and_why(
    redis: Redis, ledger: Ledger
) -> None:
    await Suppressions(redis).add("Anna@Example.com", UNKNOWN, NOW)
    jobs = [
        job_of("anna", to="anna@example.com"),
        job_of("boris", to="boris@example.com"),
        job_of("inbox", to="anna@example.com", channel="websocket"),
    ]
    assert await ledger.claim(jobs) == [SUPPRESSED, Verdict("mine"), Verdict("mine")]
    assert b"anna" not in (await redis.dump("suppressed") or b"").lower()
    assert ledger.in_hand == 3
    await ledger.settle([(job, Outcome("skipped", "suppressed")) for job in jobs])
    assert [verdict.state for verdict in await ledger.claim(jobs)] == ["done"] * 3


async def test_what_became_of_a_mail_that_led_to_a_suppression_is_still_known(
    redis: Redis, ledger: Ledger
) -> None:
    job, failed = job_of("anna", to="anna@example.com"), Outcome("failed", UNKNOWN, suppress=True)
    await ledger.claim([job])
    await ledger.note([(job, failed)])
    await Suppressions(redis).add(job.to, UNKNOWN, NOW)
    ledger.drop([job])
    assert await ledger.claim([job]) == [Verdict("known", outcome=failed)]


async def test_the_topics_records_add_and_lift(redis: Redis, ledger: Ledger) -> None:
    suppressions, job = Suppressions(redis), job_of("anna", to="anna@example.com")
    output = record("anna@example.com", UNKNOWN, NOW)
    assert output.topic.name == "suppressions" and output.key == address_hash("anna@example.com")
    await suppressions.fold([(str(output.key), output.value)])
    assert await ledger.claim([job]) == [SUPPRESSED]
    await ledger.give_back([job])
    lifted = lifting(address_hash("ANNA@example.com"))
    await suppressions.fold([(str(lifted.key), lifted.value)])
    assert await ledger.claim([job]) == [Verdict("mine")]
