"""Rates in Redis, on a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from streams import limits
from streams.limits import Limits, Rate
from streams.serving import connect

# So slow that one more at most comes due while a test runs.
SLOW = Rate("slow", 1, 3)
TIGHT = Rate("tight", 1, 1)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


async def let_through(counted: Limits, times: int, *asked: tuple[Rate, str]) -> int:
    answers = await asyncio.gather(*(counted.take(*asked) for _ in range(times)))
    return answers.count(None)


async def test_a_burst_passes_and_what_comes_on_top_is_told_how_long_to_wait(redis: Redis) -> None:
    counted = Limits(redis)
    assert await let_through(counted, 3, (SLOW, "a")) == 3
    refused = await counted.take((SLOW, "a"))
    assert refused is not None
    assert refused.what == "slow"
    assert 0 < refused.seconds <= 1


async def test_after_the_wait_that_was_told_the_next_one_passes_and_one_alone(
    redis: Redis,
) -> None:
    counted, rate = Limits(redis), Rate("quick", 5, 2)
    start = time.monotonic()
    assert await let_through(counted, 2, (rate, "a")) == 2
    refused = await counted.take((rate, "a"))
    assert refused is not None
    await asyncio.sleep(refused.seconds + 0.01)
    passed = await let_through(counted, 50, (rate, "a"))
    # One, and on a machine that slept for longer those that came due meanwhile.
    assert 1 <= passed <= (time.monotonic() - start) * rate.a_second


async def test_many_at_once_in_one_call_are_counted_one_by_one(redis: Redis) -> None:
    counted = Limits(redis)
    assert await let_through(counted, 2 * limits.SLICE, (SLOW, "a")) in (3, 4)


async def test_workers_count_together(redis: Redis) -> None:
    one, other = Limits(redis), Limits(redis)
    passed = await asyncio.gather(
        let_through(one, 3, (SLOW, "a")), let_through(other, 3, (SLOW, "a"))
    )
    assert sum(passed) in (3, 4)


async def test_who_asks_too_much_takes_nothing_from_another(redis: Redis) -> None:
    counted = Limits(redis)
    await let_through(counted, 50, (SLOW, "a"))
    assert await counted.take((SLOW, "b")) is None


async def test_what_is_taken_in_lumps_is_all_used_and_never_more(redis: Redis) -> None:
    counted, rate = Limits(redis), Rate("lumps", 10, 40, lump=20)
    passed = sum([await let_through(counted, 1, (rate, "a")) for _ in range(60)])
    assert passed == 40
    # Those that ask at once take a lump each: what they do not use is kept for those who follow.
    passed = await let_through(counted, 2, (rate, "b")) + await let_through(
        counted, 98, (rate, "b")
    )
    assert passed == 40


async def test_a_lump_asks_redis_once(redis: Redis) -> None:
    counted, rate = Limits(redis), Rate("lumps", 10, 40, lump=20)
    before = (await redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]
    for _ in range(20):
        await counted.take((rate, "a"))
    after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    # The first time Redis may not know the script.
    assert after - before <= 2


async def test_what_one_limit_refuses_counts_for_none(redis: Redis) -> None:
    counted = Limits(redis)
    assert await let_through(counted, 20, (SLOW, "a"), (TIGHT, "a")) in (1, 2)
    assert await counted.take((SLOW, "a")) is None


async def test_nothing_stays_in_redis_of_who_asked_and_no_name_of_theirs(redis: Redis) -> None:
    await Limits(redis).take((SLOW, "192.0.2.7"))
    (key,) = await redis.keys("*")
    assert b"192.0.2.7" not in key
    assert 0 < await redis.pttl(key) <= 1000


async def test_a_redis_that_refuses_to_write_limits_nobody(redis: Redis) -> None:
    # As one whose disk is full says it: to redis-py no lost connection, but an error of the call.
    counted = Limits(redis)
    await redis.config_set("min-replicas-to-write", 1)
    try:
        assert await let_through(counted, 10, (SLOW, "a")) == 10
    finally:
        await redis.config_set("min-replicas-to-write", 0)


async def test_with_a_redis_that_hangs_one_request_waits_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "WITHIN", 0.3)
    # It takes connections and answers nothing.
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    client = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    counted = Limits(client)
    try:
        start = time.monotonic()
        waiting = [
            asyncio.create_task(let_through(counted, limits.SLICE, (SLOW, "a"))) for _ in range(8)
        ]
        assert await asyncio.gather(*waiting) == [limits.SLICE] * 8
        assert 0.3 <= time.monotonic() - start < 1.5
        start = time.monotonic()
        assert await let_through(counted, 1000, (SLOW, "a")) == 1000
        assert time.monotonic() - start < 0.3
    finally:
        server.close()
        await client.aclose()


async def test_limits_are_held_again_once_redis_is_back(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_AGAIN", 0.2)
    counted = Limits(redis)
    await redis.config_set("min-replicas-to-write", 1)
    try:
        assert await let_through(counted, 10, (SLOW, "a")) == 10
    finally:
        await redis.config_set("min-replicas-to-write", 0)
    await asyncio.sleep(0.2)
    await counted.take((SLOW, "a"))
    assert await let_through(counted, 20, (SLOW, "a")) in (2, 3)
