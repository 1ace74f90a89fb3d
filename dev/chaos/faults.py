"""What a bad day of a mail server looks like: one throw of the dice for each mail."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

Stage = Literal["connect", "EHLO", "MAIL", "RCPT", "DATA", "end of data"]

# Parts of a mail's dialogue at which it can go wrong, the connection's own opening apart.
STAGES: Final[tuple[Stage, ...]] = ("MAIL", "RCPT", "DATA", "end of data")
# Every class of reply that has its own pace (RFC 3463): plain, greylisted, mailbox full, and who
# is asked to send less and hangs up.
TEMPORARY: Final = ("451 4.3.0", "451 4.7.1", "452 4.2.2", "450 4.7.28", "421 4.3.2")
# Refused for this mail, refused for good (the address is suppressed from then on).
PERMANENT: Final = ("550 5.7.1", "554 5.6.0", "550 5.1.1")
# Seconds that a slow mail takes: longer than anything else in its batch.
SLOW: Final = (0.2, 3.0)


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of a hundred mails (for `connects`: connections) meet what."""

    temporary: float = 5.0
    permanent: float = 1.0
    drops: float = 1.0
    slow: float = 2.0
    connects: float = 1.0

    @classmethod
    def none(cls) -> Shares:
        """Return a server's good day."""
        return cls(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Fate:
    """What one mail meets, and where: a reply, a connection that ends, or a wait.

    `taken` is whether a mail whose connection ends at the end of its data was taken all the same.
    """

    stage: Stage | None = None
    reply: str | None = None
    drop: bool = False
    taken: bool = False
    wait: float = 0.0


GOOD: Final = Fate()


def throw(dice: Random, shares: Shares) -> Fate:
    """Return what the next mail meets."""
    wait = dice.uniform(*SLOW) if dice.random() * 100 < shares.slow else 0.0
    stage = dice.choice(STAGES)
    number = dice.random() * 100
    for share, replies in ((shares.temporary, TEMPORARY), (shares.permanent, PERMANENT)):
        if number < share:
            return Fate(stage, reply=dice.choice(replies), wait=wait)
        number -= share
    if number < shares.drops:
        return Fate(stage, drop=True, taken=dice.random() < 0.5, wait=wait)
    return Fate(wait=wait)
