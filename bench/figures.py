"""A figure, as it is printed, and what becomes of several rounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from statistics import median
from typing import Final

import msgspec

# More digits would be noise.
DIGITS: Final = 4


class Figure(msgspec.Struct, frozen=True):
    """One measured value; `ratio` is its ratio to what `of` names, measured in the same run."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    of: str | None = None


def of_rounds(
    name: str,
    unit: str,
    values: Sequence[float],
    limits: Sequence[float] | None = None,
    of: str | None = None,
) -> Figure:
    """Return the median of the rounds, and the median of each round's ratio to its own limit.

    A limit may have been measured in more rounds.
    """
    if limits is None:
        return Figure(name, _short(median(values)), unit)
    ratios = [value / limit for value, limit in zip(values, limits, strict=False)]
    return Figure(name, _short(median(values)), unit, _short(median(ratios)), of)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def figure(name: str, unit: str, value: float) -> Figure:
    """Return a figure that stands alone."""
    return Figure(name, _short(value), unit)


def say(text: str) -> None:
    """Tell a person: stdout is for figures alone."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
