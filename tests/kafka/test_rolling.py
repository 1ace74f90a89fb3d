"""Each worker in turn is asked to end (SIGTERM) and started again, while mails flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.chaos.faults import Shares
from dev.chaos.rolling import DOWN, roll
from dev.chaos.run import Options, run

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


# Answers in time, and not at once: there are always mails on their way.
IN_TIME = Shares(temporary=0, permanent=0, drops=0, slow=20, connects=0)


async def test_a_rolling_restart_loses_nothing_and_says_nothing_twice(tmp_path: Path) -> None:
    options = Options(seed=7, rate=80, data=tmp_path, shares=IN_TIME)
    summary = await run(options, roll)
    print(f"\n{summary}")
    assert summary.holds, summary.findings
    assert summary.mails_taken == summary.mails_expected
    # Nothing excuses a second mail here: nobody was killed, and the server answered in time.
    assert summary.twice == 0
    assert summary.deaths == 0
    assert summary.slowest_end is not None and summary.slowest_end < DOWN
