"""How often anybody may ask: rates in Redis, shared by all workers.

The algorithm is GCRA (streams/lua/limits_take.lua). A limit is about fairness and not about who
may do what: with Redis away all are let through, since events must come in without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

from redis.asyncio import Redis

from streams.serving import Script, digest

logger = logging.getLogger(__name__)

# A call takes a millisecond. Less patience, and a flood that makes the loop late would itself open
# the limit.
WITHIN: Final = 1.0
# With Redis silent one call so often looks whether it is back, and nobody else waits for it.
LOOK_AGAIN: Final = 2.0
# Requests in one call: some milliseconds of Redis.
SLICE: Final = 500


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, and so many at once after a pause; `what` it is by, in a word.

    A worker takes `lump` requests in one call, and lets as many through without asking again.
    """

    what: str
    a_second: int
    burst: int
    lump: int = 1


#: A program that we know: more than one worker takes in, so that it is held back only where it
#: would crowd out others. A call costs as much as taking in an event: here 1 in 50 pays it.
KEY: Final = Rate("key", 5_000, 10_000, lump=50)
#: Anybody else: an office behind one address, all of whose tabs come back after a restart.
ADDRESS: Final = Rate("address", 100, 1_000)
#: A person with a token of their own, from however many addresses.
USER: Final = Rate("user", 20, 300)
#: A form that becomes an event or a mail. A mail provider presses RFC 8058's one click for many.
FORM: Final = Rate("form", 20, 100)
#: An operator's key or login link: who guesses gets 86,410 tries a day.
LOGIN: Final = Rate("login", 1, 10)


class Refused(NamedTuple):
    """Which rate was exceeded, and after how many seconds the next request is due."""

    what: str
    seconds: float


#: Rates that one request falls under, each with who asks.
Asked = tuple[tuple[Rate, str], ...]
_Waiting = tuple[Asked, asyncio.Future[Refused | None]]


class Limits:
    """Counts requests. Those that come while a call is under way share the next one."""

    def __init__(self, redis: Redis) -> None:
        """Use that client of the serving store."""
        self._script = Script(redis, "streams", "limits_take")
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        # What lumps hold that was not used; of rates that have lumps, as many as there are keys.
        self._left: Counter[tuple[Rate, str]] = Counter()
        # While Redis is away: when to look again.
        self._again_at: float | None = None

    async def take(self, *asked: tuple[Rate, str]) -> Refused | None:
        """Count a request under all these rates, or under none and return which one refuses it."""
        if not asked:
            return None
        if len(asked) == 1 and self._left[asked[0]] > 0:
            self._left[asked[0]] -= 1
            return None
        if self._again_at is not None:
            now = time.monotonic()
            if now < self._again_at:
                return None
            self._again_at = now + LOOK_AGAIN
        answer: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:SLICE], self._waiting[SLICE:]
            answers = await self._answers(group)
            if self._again_at is not None:
                # Nobody waits for the same silence twice.
                group, self._waiting = group + self._waiting, []
                answers = [None] * len(group)
            for (_, waiting), refused in zip(group, answers, strict=True):
                # Who asked may have hung up.
                if not waiting.done():
                    waiting.set_result(refused)
        self._task = None

    async def _answers(self, group: list[_Waiting]) -> list[Refused | None]:
        args: list[bytes | int] = []
        for asked, _ in group:
            args.append(len(asked))
            for rate, who in asked:
                interval = 1_000_000 // rate.a_second
                early = interval * (rate.burst - rate.lump)
                args += digest(f"{rate.what} {who}"), interval * rate.lump, early
        try:
            async with asyncio.timeout(WITHIN):
                found = await self._script(*args)
        except Exception as error:
            # Whatever it is: a door that waits for its counter is closed.
            if self._again_at is None:
                logger.warning("no limits are held until Redis answers: %r", error)
            self._again_at = time.monotonic() + LOOK_AGAIN
            return []
        self._again_at = None
        return [
            self._answer(asked, number, wait)
            for (asked, _), number, wait in zip(group, found[::2], found[1::2], strict=True)
        ]

    def _answer(self, asked: Asked, number: int, wait: int) -> Refused | None:
        if number:
            return Refused(asked[number - 1][0].what, wait / 1e6)
        for one in asked:
            if one[0].lump > 1:
                self._left[one] += one[0].lump - 1
        return None
