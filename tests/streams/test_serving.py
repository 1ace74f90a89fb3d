"""A connection to Redis that is torn off between two steps of a call is Redis away, no fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from redis.exceptions import ConnectionError

from streams.serving import connect


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_command_to_a_connection_that_was_just_torn_off_says_that_redis_is_away(
    redis_url: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def main() -> None:
        redis = connect(redis_url)
        pool: Any = redis.connection_pool
        connection = await pool.get_connection()

        async def ask() -> None:
            await connection.send_command("PING")
            await connection.read_response()

        # What happens when Redis is killed after the pool has looked at the connection.
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await ask()
        await pool.release(connection)
        assert await redis.ping()
        await redis.aclose()

    run(main())
