"""Addresses that nothing is sent to."""

from __future__ import annotations

from redis.asyncio import Redis

from sender.suppressions import Suppressions, lifting, record
from streams.jobs import Suppression, address_hash
from tests.sender.conftest import NOW


async def test_a_suppressed_address_says_why_and_since_when(redis: Redis) -> None:
    suppressions = Suppressions(redis)
    await suppressions.add("Anna@Example.com", "550 5.1.1 unknown", NOW)
    known = Suppression(reason="550 5.1.1 unknown", at=NOW)
    assert await suppressions.of(["anna@example.com", "boris@example.com"]) == [known, None]
    assert await suppressions.of([]) == []
    assert b"anna" not in (await redis.dump("suppressed") or b"").lower()


async def test_the_topics_records_add_and_lift(redis: Redis) -> None:
    suppressions = Suppressions(redis)
    output = record("anna@example.com", "550", NOW)
    assert output.topic.name == "suppressions" and output.key == address_hash("anna@example.com")
    await suppressions.fold([(str(output.key), output.value)])
    assert (await suppressions.of(["anna@example.com"]))[0] is not None
    lifted = lifting(address_hash("ANNA@example.com"))
    await suppressions.fold([(str(lifted.key), lifted.value)])
    assert await suppressions.of(["anna@example.com"]) == [None]
