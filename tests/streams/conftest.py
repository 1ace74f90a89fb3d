"""A Redis of the streams worker's: empty, and said to be full."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from streams.serving import FILLED, connect


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    await client.flushall()
    await client.set(FILLED, "by the tests")
    yield client
    await client.aclose()
