"""Deliveries folded into Redis: the last ones of a person, and counts that add up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from streams.delivery_log import ERASED, DeliveryLog
from streams.jobs import FINAL_STATUSES, Cause, Delivery, job_id
from streams.serving import connect
from tests.sender.conftest import NOW

SEED = random.randrange(2**32)


def delivery(name: str, status: Any = "sent", minutes: float = 0, **fields: Any) -> Delivery:
    values: dict[str, Any] = {
        "job_id": job_id(name, "letter", "anna", "email"),
        "user_id": "anna",
        "channel": "email",
        "kind": "letter",
        "status": status,
        "reason": "because",
        "attempt": 0,
        "at": NOW + timedelta(minutes=minutes),
        "cause": Cause("letters", 0, 1),
    }
    return Delivery(**(values | fields))


@pytest.fixture
def log(redis: Redis) -> DeliveryLog:
    return DeliveryLog(redis)


async def test_a_persons_deliveries_come_newest_first_and_each_once(log: DeliveryLog) -> None:
    first, last = delivery("a"), delivery("b", minutes=5)
    await log.fold([last, first])
    await log.fold([first, last])
    assert await log.latest("anna") == [last, first]
    assert await log.latest("boris") == []


async def test_at_one_instant_the_final_status_is_the_newest(log: DeliveryLog) -> None:
    deferred = delivery("a", "deferred")
    retrying = delivery("a", "retrying", attempt=1)
    sent = delivery("a", "sent", attempt=2)
    await log.fold([sent, deferred, retrying])
    assert await log.latest("anna") == [sent, retrying, deferred]


async def test_only_the_last_hundred_are_kept(log: DeliveryLog) -> None:
    await log.fold([delivery(str(number), minutes=number) for number in range(120)])
    latest = await log.latest("anna")
    assert len(latest) == 100
    assert latest[0].at == NOW + timedelta(minutes=119)
    assert await log.counts() == {"letter": {"sent": 120}}


async def test_a_job_counts_once_by_its_latest_status(log: DeliveryLog) -> None:
    await log.fold([delivery("a", "deferred"), delivery("b", "retrying", kind="tip")])
    await log.fold([delivery("a", "retrying", attempt=0, minutes=1)])
    assert await log.counts() == {
        "letter": {"deferred": 0, "retrying": 1},
        "tip": {"retrying": 1},
    }
    await log.fold([delivery("a", "sent", attempt=1, minutes=2)])
    await log.fold([delivery("a", "retrying", attempt=7, minutes=3)])
    await log.fold([delivery("a", "failed", attempt=8, minutes=4)])
    assert (await log.counts())["letter"] == {"deferred": 0, "retrying": 0, "sent": 1}


async def test_counts_stay_when_the_states_behind_them_have_gone(
    log: DeliveryLog, redis: Redis
) -> None:
    await log.fold([delivery("a")])
    states = await redis.keys("d:*")
    assert states
    assert all([30 * 86400 <= await redis.ttl(key) <= 60 * 86400 for key in states])
    await redis.delete(*states)
    assert await log.counts() == {"letter": {"sent": 1}}


async def test_a_state_of_the_span_before_is_found_and_moved(
    log: DeliveryLog, redis: Redis
) -> None:
    await log.fold([delivery("a", "retrying")])
    (key,) = await redis.keys("d:*")
    assert isinstance(key, bytes)
    generation, span, bucket = key[2:].split(b":", 2)
    before = b"d:%s:%d:%s" % (generation, int(span) - 1, bucket)
    await redis.rename(key, before)
    await log.fold([delivery("a", "sent", attempt=1)])
    assert (await log.counts())["letter"] == {"retrying": 0, "sent": 1}
    assert await redis.keys("d:*") == [key]


async def test_an_erasure_removes_the_list_and_keeps_the_counts_exact(log: DeliveryLog) -> None:
    sent = delivery("a")
    await log.fold([sent])
    await log.erase("anna")
    assert await log.latest("anna") == []
    await log.fold([sent, delivery("b", "skipped", reason=ERASED)])
    assert await log.counts() == {"letter": {"sent": 1, "skipped": 1}}
    assert [item.reason for item in await log.latest("anna")] == ["because"]


async def test_counts_are_rebuilt_from_nothing(log: DeliveryLog) -> None:
    records = [delivery("a"), delivery("b", "failed")]
    await log.fold(records)
    await log.reset()
    assert await log.counts() == {}
    await log.fold(records)
    await log.fold(records)
    assert await log.counts() == {"letter": {"sent": 1, "failed": 1}}


STATUSES = st.sampled_from(["sent", "skipped", "deferred", "retrying", "failed"])
ONE = st.tuples(st.integers(0, 3), STATUSES, st.integers(0, 3))


@seed(SEED)
@settings(max_examples=60)
@given(records=st.lists(ONE, max_size=20), cut=st.integers(0, 20), repeats=st.booleans())
def test_counts_add_up_in_any_order_and_with_any_repeats(
    redis_socket: Path, records: list[tuple[int, str, int]], cut: int, repeats: bool
) -> None:
    print(f"seed {SEED}")
    rows = [
        delivery(str(job), status, attempt=attempt, minutes=attempt)
        for job, status, attempt in records
    ]
    expected: dict[str, Delivery] = {}
    for row in rows:
        known = expected.get(row.job_id)
        if known is None or (
            known.status not in FINAL_STATUSES
            and (row.status in FINAL_STATUSES or row.attempt > known.attempt)
        ):
            expected[row.job_id] = row

    async def fold() -> dict[str, dict[str, int]]:
        redis = connect(f"unix://{redis_socket}")
        await redis.flushall()
        log = DeliveryLog(redis)
        await log.fold(rows[:cut])
        await log.fold(rows[:cut] if repeats else [])
        await log.fold(rows[cut:])
        try:
            return await log.counts()
        finally:
            await redis.aclose()

    counts = asyncio.run(fold()).get("letter", {})
    wanted = Counter(row.status for row in expected.values())
    assert {status: number for status, number in counts.items() if number} == dict(wanted)
