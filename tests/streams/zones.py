"""The full sweep: every day from 2024 to 2031 in every zone, against a walk over all minutes.

`python -m tests.streams.zones`; minutes long, so not among the tests, which look at the days around
each change of a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tests.streams import oracle
from tests.streams.test_cron import TIMES, hold_against_a_walk


def main() -> None:
    """Hold every zone against the walk, year by year; an AssertionError names what differs."""
    zones = [zone for zone, _ in oracle.places()]
    for number, zone in enumerate(zones, 1):
        for year in range(oracle.FIRST.year, oracle.LAST.year):
            start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
            hold_against_a_walk(zone, start, end)
        print(f"{number}/{len(zones)} {zone.key}", flush=True)
    print(f"{len(zones)} sets of rules, {len(TIMES)} times a day, 2024 to 2031: all agree")


if __name__ == "__main__":
    main()
