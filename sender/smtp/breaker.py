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


class Breaker:
    """One server's circuit. Times are monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin closed."""
        self._clock = clock
        self._failures = 0
        self._pause = PAUSE
        self._until = 0.0
        self._probing = False
        self.state: State = "closed"
        self.reason = ""

    def allows(self) -> bool:
        """Tell whether a mail may be tried now; after a pause the first to ask is the probe.

        Who was let through says `succeeded`, `failed` or `let_go` after.
        """
        if self.state == "closed":
            return True
        if self._probing or self._clock() < self._until:
            return False
        self.state = "half-open"
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Close: the server answers."""
        self._failures = 0
        self._pause = PAUSE
        self._probing = False
        self.state = "closed"
        self.reason = ""

    def failed(self, reason: str) -> None:
        """Count a failure of the server (never of a mail); open when it is one too many."""
        self.reason = reason
        self._failures += 1
        if self.state == "closed" and self._failures < FAILURES:
            return
        if self.state == "half-open":
            self._pause = min(self._pause * 2, LONGEST)
        elif self.state == "open":
            # One that was let through before it opened: known already.
            return
        self.state = "open"
        self._probing = False
        # Not in step with the other workers that saw the same server go.
        self._until = self._clock() + self._pause * random.uniform(1 - JITTER, 1 + JITTER)

    def let_go(self) -> None:
        """End a try that says nothing about the server; another may be the probe."""
        if self.state == "half-open":
            self._probing = False

    def wait(self) -> float:
        """Return how many seconds to wait before it makes sense to ask again."""
        if self.state == "closed":
            return 0.0
        # While the probe is out nobody knows; it is asked again a little later.
        return PAUSE / 2 if self._probing else max(0.0, self._until - self._clock())
