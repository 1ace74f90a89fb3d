"""Addresses that nothing is sent to, because a server said that they do not exist.

The topic `suppressions` is the truth, Redis what is looked at when a mail is claimed: the hash
`suppressed`, from the address's own hash to reason and date. No address stands in either.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from redis.asyncio import Redis

from streams.jobs import Suppression, address_hash, encode
from streams.records import Output
from streams.serving import answering
from streams.topics import SUPPRESSIONS

KEY: Final = "suppressed"


def record(address: str, reason: str, at: datetime) -> Output:
    """Return the record that suppresses an address."""
    return Output(SUPPRESSIONS, address_hash(address), encode(Suppression(reason=reason, at=at)))


def lifting(name: str) -> Output:
    """Return the record that lets the address of that hash be written to again."""
    return Output(SUPPRESSIONS, name, None)


class Suppressions:
    """The suppressed addresses in Redis. Methods raise RedisUnavailable while it is away."""

    def __init__(self, redis: Redis) -> None:
        """Use that client of the serving store."""
        self._redis = redis

    async def fold(self, records: Iterable[tuple[str, bytes | None]]) -> None:
        """Take in records of the topic: the hash of an address and its suppression, or None."""
        pipe: Any = self._redis.pipeline(transaction=False)
        for key, value in records:
            if value is None:
                pipe.hdel(KEY, key)
            else:
                pipe.hset(KEY, key, value)
        if pipe.command_stack:
            with answering():
                await pipe.execute()

    async def reset(self) -> None:
        """Begin anew, from nothing: fold all of the topic after it."""
        with answering():
            await self._redis.delete(KEY)

    async def add(self, address: str, reason: str, at: datetime) -> None:
        """Suppress an address here at once; its `record` makes it last."""
        output = record(address, reason, at)
        await self.fold([(str(output.key), output.value)])
