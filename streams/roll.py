"""Which workers of either app live, and where: said by each in Redis, for the others' pages.

`wr:APP` has the URLs with the time at which each last said that it lives. With Redis away nobody
is found: what is asked of others is then missing from a page, and nothing else.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

from mode import Service
from redis.asyncio import Redis

from streams.errors import RedisUnavailable
from streams.serving import answering

STREAMS: Final = "streams"
SENDER: Final = "sender"
# A worker says so often that it lives, and is taken for gone after three times of silence.
ALIVE_SECONDS: Final = 5.0
GONE_SECONDS: Final = 15.0


class Roll(Service):
    """Says in the background that this worker lives, and knows who else does."""

    def __init__(self, redis: Redis, app: str, url: str, **options: Any) -> None:
        """Stand on the roll of that app under the URL that other workers reach this one at."""
        super().__init__(**options)
        self._redis = redis
        self._key = f"wr:{app}"
        self._url = url.rstrip("/")

    async def urls(self, app: str) -> list[str]:
        """Return the base URLs of the app's workers; none while Redis is away."""
        now = time.time()
        with contextlib.suppress(RedisUnavailable), answering():
            found: list[Any] = await self._redis.zrangebyscore(
                f"wr:{app}", now - GONE_SECONDS, "+inf"
            )
            return sorted(url.decode() for url in found)
        return []

    @Service.task
    async def _live(self) -> None:
        while not self.should_stop:
            now = time.time()
            with contextlib.suppress(RedisUnavailable), answering():
                await self._redis.zadd(self._key, {self._url: now})
                await self._redis.zremrangebyscore(self._key, 0, now - GONE_SECONDS)
            await self.sleep(ALIVE_SECONDS)
