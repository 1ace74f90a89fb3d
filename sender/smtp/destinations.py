"""Limits of what goes to one mail domain: mails at once, and mails a second.

A mail waits for its turn for a moment; what would take longer is put off and says until when. So a
domain at its limit holds no batch up, and the mails that it keeps waiting are not kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from streams.errors import Deferred
from streams.settings import ANY_DOMAIN, DomainLimit

# Seconds that a mail is put off at least: it comes back over Kafka, which must be worth it.
PUT_OFF: Final = 5.0
# Domains remembered beside those in use, before those that are as good as new are forgotten.
REMEMBERED: Final = 1000


class PutOff(Deferred):
    """It would not be its turn in time; `after` seconds it may be."""

    def __init__(self, after: float) -> None:
        super().__init__("over the limit of its mail domain")
        self.after = after


@dataclass(slots=True)
class _Destination:
    """One domain. `next` is when the next mail may go, `due` when the last put off comes back."""

    limit: DomainLimit
    slots: asyncio.Semaphore = field(init=False)
    users: int = 0
    next: float = 0.0
    due: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.limit.connections)

    def as_new(self, now: float) -> bool:
        return not self.users and now >= max((self.next, *self.due.values()))


class Destinations:
    """The limits of one process, over its lanes (CINEMA_DOMAIN_LIMITS)."""

    def __init__(self, limits: Iterable[DomainLimit]) -> None:
        self._limits = {limit.domain: limit for limit in limits}
        self._known: dict[str, _Destination] = {}

    def limit(self, domain: str) -> DomainLimit | None:
        """Return what limits a domain, None if nothing does."""
        return self._limits.get(domain) or self._limits.get(ANY_DOMAIN)

    @asynccontextmanager
    async def turn(self, domain: str, lane: str, until: float) -> AsyncIterator[None]:
        """Wait for the turn of a mail to a limited domain, and take it for the block's length.

        Raises PutOff where that is later than `until` (monotonic seconds). Each lane has a line of
        its own of those put off, so that bulk mails do not come back before urgent ones.
        """
        here = self._destination(domain)
        here.users += 1
        try:
            try:
                async with asyncio.timeout(max(0.0, until - monotonic())):
                    await here.slots.acquire()
            except TimeoutError:
                raise PutOff(self._put_off(here, lane)) from None
            try:
                now = monotonic()
                if max(here.next, now) > max(until, now):
                    raise PutOff(self._put_off(here, lane))
                if here.limit.rate is not None:
                    turn = max(here.next, now)
                    here.next = turn + 1 / here.limit.rate
                    await asyncio.sleep(turn - now)
                yield
            finally:
                here.slots.release()
        finally:
            here.users -= 1

    def _put_off(self, here: _Destination, lane: str) -> float:
        """Return in how many seconds: one after the other, at the domain's rate."""
        now = monotonic()
        last = max(here.due.get(lane, 0.0), now + PUT_OFF)
        here.due[lane] = last + (1 / here.limit.rate if here.limit.rate else 0.0)
        return last - now

    def _destination(self, domain: str) -> _Destination:
        here = self._known.get(domain)
        if here is None:
            if len(self._known) >= REMEMBERED:
                now = monotonic()
                self._known = {
                    name: one for name, one in self._known.items() if not one.as_new(now)
                }
            limit = self.limit(domain)
            assert limit is not None, "nobody waits for a turn at a domain without a limit"
            here = self._known[domain] = _Destination(limit)
        return here
