"""The chaos run for a bounded time: killed, stopped and cut off, it loses nothing."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import pytest

from dev.chaos.run import Options, run

# The load; with the stack's start, the rest and the reckoning it takes 40 s more on two idle cores.
SECONDS = 180

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(SECONDS + 420)]


async def test_killed_again_and_again_it_loses_nothing_and_counts_right(tmp_path: Path) -> None:
    seed = SystemRandom().randrange(10**6)
    summary = await run(Options(seconds=SECONDS, seed=seed, data=tmp_path))
    print(f"\n{summary}")
    assert summary.lost == 0, summary.findings
    assert summary.wrong_statistics == 0, summary.findings
    assert summary.twice_unexcused == 0, summary.findings
    assert summary.twice_in_flight <= summary.in_flight
    assert summary.wrong_orders == 0, summary.findings
    assert summary.inbox_errors == 0, summary.findings
    assert summary.dead_letters_found == summary.dead_letters_expected, summary.findings
    assert summary.holds, summary.findings
    # It was a bad day: else all this says nothing.
    assert summary.kills >= 8 and summary.stops >= 1
    assert summary.broker_outages >= 1 and summary.redis_outages >= 1
    assert summary.mails_taken > 1000 and summary.months_checked > 500
    assert summary.orders_checked > 100
