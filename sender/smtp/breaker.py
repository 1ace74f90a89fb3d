"""A circuit breaker: a server that is down is not asked, but by one probe now and then."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, get_args

# One refused connection may be a restart, three in a row are a server that is down.
FAILURES: Final = 3
# The first pause; each probe that fails doubles it, up to what a backlog may wait for (a server
# that is back is found within 5 s of it at the latest, jitter included).
PAUSE: Final = 0.5
LONGEST: Final = 4.0
JITTER: Final = 0.25

State = Literal["closed", "open", "half-open"]
STATES: Final[tuple[State, ...]] = get_args(State)


class Try:
    """A mail that was let through; it says by this how it went."""


class Breaker:
    """One server's circuit. Times are monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin closed."""
        self._clock = clock
        self._failures = 0
        self._pause = PAUSE
        self._until = 0.0
        self._probe: Try | None = None
        self.state: State = "closed"
        self.reason = ""

    def allows(self) -> Try | None:
        """Let a mail through, if it may be tried now; after a pause the first to ask is the probe.

        Who was let through says `succeeded`, `failed` or `let_go` after.
        """
        if self.state == "closed":
            return Try()
        if self._probe is not None or self._clock() < self._until:
            return None
        self.state = "half-open"
        self._probe = Try()
        return self._probe

    def succeeded(self) -> None:
        """Close: the server answers."""
        self._failures = 0
        self._pause = PAUSE
        self._probe = None
        self.state = "closed"
        self.reason = ""

    def failed(self, tried: Try, reason: str) -> None:
        """Count a failure of the server (never of a mail); open when it is one too many."""
        if self.state != "closed" and tried is not self._probe:
            # One that was let through before it opened: known already, and not the probe's end.
            return
        self.reason = reason
        self._failures += 1
        if self.state == "closed" and self._failures < FAILURES:
            return
        if self.state == "half-open":
            self._pause = min(self._pause * 2, LONGEST)
        self.state = "open"
        self._probe = None
        # Not in step with the other workers that saw the same server go.
        self._until = self._clock() + self._pause * random.uniform(1 - JITTER, 1 + JITTER)

    def let_go(self, tried: Try) -> None:
        """End a try that says nothing about the server; another may be the probe."""
        if tried is self._probe:
            self._probe = None

    def wait(self) -> float:
        """Return how many seconds to wait before it makes sense to ask again."""
        if self.state == "closed":
            return 0.0
        # While the probe is out nobody knows; it is asked again a little later.
        return PAUSE / 2 if self._probe else max(0.0, self._until - self._clock())
