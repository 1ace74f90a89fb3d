"""The full sweep: every day from 2024 to 2031 in every zone, against a walk over all minutes.

`make zones`; minutes long, so not among the tests, which look at the days around each change of a
clock.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from time import monotonic

from tests.streams import oracle
from tests.streams.test_cron import TIMES, hold_against_a_walk


def sweep(number: int) -> str:
    """Hold a zone against the walk, year by year, and return its name; one zone is one number."""
    zone, _ = oracle.places()[number]
    for year in range(oracle.FIRST.year, oracle.LAST.year):
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, 1, tzinfo=UTC)
        hold_against_a_walk(zone, start, end)
    return zone.key


def main() -> None:
    """Sweep all zones; an AssertionError names what differs."""
    started = monotonic()
    numbers = range(len(oracle.places()))
    with ProcessPoolExecutor() as processes:
        sweeps = [processes.submit(sweep, number) for number in numbers]
        try:
            for done, one in enumerate(as_completed(sweeps), 1):
                spent = monotonic() - started
                print(f"{done}/{len(sweeps)}  {spent:4.0f} s  {one.result()}", flush=True)
        except BaseException:
            processes.shutdown(cancel_futures=True)
            raise
    print(f"{len(sweeps)} sets of rules, {len(TIMES)} times a day, 2024 to 2031: all agree")


if __name__ == "__main__":
    main()
