"""Tokens that are good no more though they have not expired: one, or all of a person's.

The topic `revocations` is the truth, Redis what both workers look at: `rv:` and a hash of the
person's id or the token's `jti`, with the time; and the stream `rv`, from which every sender hears
of each at once, whichever of them folded it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from aiokafka import ConsumerRecord
from redis.asyncio import Redis

from streams.dead_letters import place
from streams.errors import NotAllowed, RedisUnavailable
from streams.jobs import Revocation, decode_revocation, encode
from streams.records import Output
from streams.serving import FILLED, answering, digest
from streams.tokens import Claims
from streams.topics import REVOCATIONS

logger = logging.getLogger(__name__)

STREAM: Final = "rv"
# What a sender that was cut off from Redis for a day at most still hears.
HEARD_WITHIN: Final = 86_400
# How long a sender waits for the next one: less than the client's own patience (serving.TIMEOUT).
BLOCK_MS: Final = 2_000
#: In the stream: look at all tokens again, Redis was filled meanwhile.
ALL: Final = b""
BEGINNING: Final = b"0-0"
# Tokens that one call looks up.
SLICE: Final = 500
# As long as the topic: a token that lives for longer comes to life again after it.
KEPT: Final = REVOCATIONS.retention.total_seconds()


def of_person(user_id: str) -> bytes:
    """Return what stands for all tokens of a person."""
    return digest(f"user {user_id}")


def of_token(jti: str) -> bytes:
    """Return what stands for the token of that `jti`."""
    return digest(f"jti {jti}")


def record(name: bytes, at: datetime) -> Output:
    """Return the record that revokes what `name` stands for, as of that time."""
    return Output(REVOCATIONS, name.hex(), encode(Revocation(at=at)))


def names_of(claims: Claims) -> tuple[bytes, ...]:
    """Return what stands for a token: that of its person, and its own where it has a `jti`."""
    person = of_person(claims.user_id)
    return (person,) if claims.jti is None else (person, of_token(claims.jti))


def said(records: Iterable[ConsumerRecord]) -> Iterator[tuple[bytes, datetime]]:
    """Yield what records of the topic revoke, and when; pass over what cannot be read."""
    for found in records:
        try:
            yield (
                bytes.fromhex((found.key or b"").decode()),
                decode_revocation(found.value or b"").at,
            )
        except ValueError as error:
            logger.error("%s cannot be read: %s", place(found), error)


class Revocations:
    """The revoked tokens in Redis. Methods raise RedisUnavailable while it is away."""

    def __init__(self, redis: Redis) -> None:
        """Use that client of the serving store."""
        self._redis = redis

    async def check(self, claims: Claims) -> None:
        """Raise NotAllowed for a token that was revoked."""
        (revoked,) = await self.revoked([claims])
        if revoked:
            raise NotAllowed("the token was revoked")

    async def revoked(self, claims: Sequence[Claims]) -> list[bool]:
        """Tell of each token whether it was revoked.

        Raises RedisUnavailable, too, while Redis is not full: nobody knows then. It is asked in the
        same call, since one that was emptied is noticed and filled a second later.
        """
        found: list[bool] = []
        for start in range(0, len(claims), SLICE):
            part = claims[start : start + SLICE]
            rows = [_row(name) for one in part for name in names_of(one)]
            with answering():
                full, *times = await self._redis.mget([FILLED, *rows])
            if full is None:
                raise RedisUnavailable("revocations are being put back")
            known = iter(times)
            for one in part:
                person = next(known)
                # Of the same second: nobody can tell which was first, so it is good no more.
                late = person is not None and one.issued_at <= float(person)
                token = next(known) if one.jti is not None else None
                found.append(late or token is not None)
        return found

    async def fold(self, rows: Iterable[tuple[bytes, datetime]], *, tell: bool = True) -> None:
        """Take in what was revoked when; `tell` all senders of each."""
        pipe: Any = self._redis.pipeline(transaction=True)
        for name, at in rows:
            moment = at.timestamp()
            pipe.set(_row(name), moment, exat=int(moment + KEPT))
            if tell:
                _tell(pipe, name)
        if pipe.command_stack:
            with answering():
                await pipe.execute()

    async def tell_all(self) -> None:
        """Have every sender look at all its tokens again."""
        with answering():
            await _tell(self._redis, ALL)

    async def heard(self, after: bytes) -> tuple[bytes, list[bytes]]:
        """Wait up to 2 s for what was told after that place in the stream.

        Returns where to go on from, and the names (or ALL) in their order.
        """
        with answering():
            answer: Any = await self._redis.xread({STREAM: after}, count=SLICE, block=BLOCK_MS)
        if not answer:
            return after, []
        ((_, entries),) = answer
        return entries[-1][0], [fields[b"n"] for _, fields in entries]


def _row(name: bytes) -> bytes:
    return b"rv:" + name


def _tell(redis: Any, name: bytes) -> Any:
    oldest = int((time.time() - HEARD_WITHIN) * 1000)
    return redis.xadd(STREAM, {"n": name}, minid=oldest)
