"""Which workers live, by what they say in Redis."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from streams.roll import GONE_SECONDS, SENDER, STREAMS, Roll
from streams.serving import connect


async def test_a_worker_stands_on_its_apps_roll_while_it_lives(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll = Roll(redis, STREAMS, "http://one:6066/")
    async with roll:
        while not (found := await roll.urls(STREAMS)):
            pass
        assert found == ["http://one:6066"]
        assert await roll.urls(SENDER) == []
    monkeypatch.setattr("streams.roll.GONE_SECONDS", -GONE_SECONDS)
    assert await roll.urls(STREAMS) == []


async def test_with_redis_away_nobody_is_on_the_roll(unused_tcp_port: int) -> None:
    away = connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    assert await Roll(away, STREAMS, "http://one").urls(STREAMS) == []
