"""Points at which a test has the process killed: where a kill could lose something or say it twice.

For debugging alone: `CINEMA_FAULT=claimed` kills this process with -9 when it first gets to that
point, `CINEMA_FAULT=claimed:3` the third time. Without the setting a point costs a call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, NamedTuple

# In the order in which a notification comes by.
POINTS: Final = (
    # streams: decided, nothing sent
    "decided",
    # jobs, skips and dead letters acknowledged, the changelog not written
    "jobs-acknowledged",
    # the changelog acknowledged, the offset not committed
    "changelog-acknowledged",
    # sender: claimed in the ledger, nothing tried
    "claimed",
    # the mail server has said 250, the ledger does not know
    "accepted",
    # the delivery acknowledged by Kafka, the ledger not marked
    "unmarked",
)

#: Says that the process has come to a point; does not return from the one it is to die at.
Reach = Callable[[str], None]


class Fault(NamedTuple):
    """Die at that point when it is reached for the `time`th time."""

    point: str
    time: int = 1

    @classmethod
    def from_text(cls, text: str) -> Fault:
        """Read `point` or `point:time`."""
        point, _, time = text.partition(":")
        if point not in POINTS:
            raise ValueError("is one of " + ", ".join(POINTS))
        if time and not (time.isdigit() and int(time)):
            raise ValueError("wants a whole number from 1 after the colon")
        return cls(point, int(time or 1))


def nowhere(point: str) -> None:
    """Die at no point."""


def die(point: str) -> None:
    """Kill this process as `kill -9` does: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


def points(fault: Fault | None, die: Callable[[str], None] = die) -> Reach:
    """Return what is to be called at every point."""
    if fault is None:
        return nowhere
    left = fault.time

    def reach(point: str) -> None:
        nonlocal left
        if point == fault.point:
            left -= 1
            if left == 0:
                die(point)

    return reach
