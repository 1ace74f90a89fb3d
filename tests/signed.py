"""Tokens as links, cookies and forms carry them, and all that is none for a given door."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from streams import links
from streams.limits import Limits, Rate, Refused
from streams.web import guard, months

SECRET: Final = "a-secret-for-links-in-mails"
#: What each purpose's tokens hold, and for how long they are good.
PURPOSES: Final[dict[str, tuple[Any, timedelta]]] = {
    links.UNSUBSCRIBE: (["u", "tip"], links.UNSUBSCRIBE_AGE),
    links.PREFERENCES: (["u"], links.PREFERENCES_AGE),
    links.MONTHS: (["u"], months.AGE),
    links.LOGIN: ("read", guard.SESSION),
    guard.PURPOSE: ("read", guard.SESSION),
}


def good(purpose: str, secret: str = SECRET) -> str:
    """Return a token of that purpose."""
    return links.Tokens(secret).sign(purpose, PURPOSES[purpose][0])


def aged(purpose: str, beyond: timedelta) -> str:
    """Return a token of that purpose that was signed so long before the end of its time."""
    signed = int(time.time() - (PURPOSES[purpose][1] + beyond).total_seconds())
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda _: signed)
        return good(purpose)


def none_for(purpose: str) -> Iterator[tuple[str, str]]:
    """Yield all that must not open a door of that purpose, each with what it is."""
    tokens, data = links.Tokens(SECRET), PURPOSES[purpose][0]
    for other in PURPOSES.keys() - {purpose}:
        yield f"made for {other}", good(other)
        # Only the purpose is wrong: what it holds is what this door looks for.
        yield f"this one's data signed for {other}", tokens.sign(other, data)
    yield "signed with another secret", good(purpose, "another-secret-for-links")
    yield "expired", aged(purpose, timedelta(seconds=5))
    token = good(purpose)
    # Not the last character, whose last two bits say nothing.
    for place in range(0, len(token) - 1, 3):
        if token[place] != ".":
            changed = "A" if token[place] != "A" else "B"
            yield f"altered at {place}", f"{token[:place]}{changed}{token[place + 1 :]}"
    payload, _, signature = token.partition(".")
    yield "of no signature", payload
    yield "of an empty signature", f"{token.rpartition('.')[0]}."
    yield "of no payload", f".{signature}"


class Unlimited(Limits):
    """Who tries all doors is not to be stopped by how often they knock."""

    async def take(self, *asked: tuple[Rate, str]) -> Refused | None:
        return None
