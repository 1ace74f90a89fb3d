"""What became of notifications, in Redis: each person's last ones, and counts over all.

Folded from the topic `deliveries`, and rebuilt from it after `reset`. Exact under repeats and in
whatever order attempts come: a job counts once, by its latest status, and a final one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from redis.asyncio import Redis

from streams.jobs import FINAL_STATUSES, Delivery, decode_delivery, encode
from streams.serving import Script, answering, digest, sized
from streams.topics import RETENTION

KEEP: Final = 100
# A state outlives the topic's records: no repeat can come after it is gone.
DAYS: Final = RETENTION.days
# The reason of what is skipped because the person is gone: it enters no list of theirs.
ERASED: Final = "erased"
# Room below a millisecond: at the same instant a later attempt is newer, a final status newest.
ORDER: Final = 64


class DeliveryLog:
    """The deliveries in Redis. Every method raises RedisUnavailable while it is away."""

    def __init__(self, redis: Redis) -> None:
        """Use that client of the serving store."""
        self._redis = redis
        self._fold = Script(redis, "streams", "deliveries_fold")

    async def fold(self, deliveries: Sequence[Delivery]) -> None:
        """Take in deliveries, in one call; a repeat changes nothing."""
        if deliveries:
            await self._fold.over((KEEP, DAYS), map(_row, deliveries))

    async def latest(self, user_id: str) -> list[Delivery]:
        """Return the person's last deliveries, newest first."""
        with answering():
            rows: list[Any] = await self._redis.zrange(b"dl:" + digest(user_id), 0, -1, desc=True)
        return [decode_delivery(row) for row in rows]

    async def counts(self) -> dict[str, dict[str, int]]:
        """Return how many jobs have which status now, by kind."""
        with answering():
            generation: Any = await self._redis.get("dg") or b"0"
            rows: dict[Any, Any] = await self._redis.hgetall(b"dc:" + generation)
        counts: dict[str, dict[str, int]] = {}
        for name, number in rows.items():
            kind, _, status = name.decode().partition(" ")
            counts.setdefault(kind, {})[status] = int(number)
        return counts

    async def erase(self, user_id: str) -> None:
        """Remove the person's list; what was counted stays counted, under no one's name."""
        with answering():
            await self._redis.delete(b"dl:" + digest(user_id))

    async def reset(self) -> None:
        """Begin anew, from nothing: fold all of the topic after it."""
        with answering():
            generation = await self._redis.incr("dg") - 1
            await self._redis.delete(f"dc:{generation}")


# User, whether final, at in ms, score; doubles, which are what Lua counts in.
_numbers: Final = Struct(">12sBdd").pack


def _row(delivery: Delivery) -> bytes:
    try:
        job = bytes.fromhex(delivery.job_id)
    except ValueError:
        job = delivery.job_id.encode()
    at = int(delivery.at.timestamp() * 1000)
    final = delivery.status in FINAL_STATUSES
    order = min(delivery.attempt, ORDER // 2 - 1) * 2 + final
    user, score = digest(delivery.user_id), at * ORDER + order
    record = b"" if delivery.reason == ERASED else encode(delivery)
    return (
        _numbers(user, final, at, score)
        + sized(b"%d" % delivery.attempt)
        + sized(job)
        + sized(delivery.kind.encode())
        + sized(delivery.status.encode())
        + sized(record)
    )
