"""The pace of tries and their end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sender.channels import Outcome
from sender.retries import conclude
from tests.sender.conftest import NOW, job_of

LATER = Outcome("retrying", "451 not now")


def test_eighteen_tries_take_their_time_and_then_it_has_failed() -> None:
    waits: list[float] = []
    job, outcome = job_of(), LATER
    while True:
        outcome, again = conclude(job, LATER, NOW, 1.0)
        if again is None:
            break
        assert again.not_before is not None and again.attempt == job.attempt + 1
        waits.append((again.not_before - NOW).total_seconds() / 60)
        job = again
    assert waits == [1, 10, 60, 360, *[1440] * 13]
    assert len(waits) + 1 == 18
    assert outcome == Outcome("failed", "given up after 18 tries: 451 not now")


def test_the_pace_is_scaled_and_a_replys_own_pace_comes_first() -> None:
    _, again = conclude(job_of(attempt=2), LATER, NOW, 0.01)
    assert again is not None and again.not_before == NOW + timedelta(seconds=36)
    full = Outcome("retrying", "452 full", after=timedelta(hours=6))
    _, again = conclude(job_of(), full, NOW, 0.5)
    assert again is not None and again.not_before == NOW + timedelta(hours=3)


@pytest.mark.parametrize("left", [timedelta(0), timedelta(minutes=1)])
def test_a_job_that_expires_before_its_next_try_has_failed(left: timedelta) -> None:
    outcome, again = conclude(job_of(expires_at=NOW + left), LATER, NOW, 1.0)
    assert again is None
    assert outcome.status == "failed" and outcome.reason.endswith(": 451 not now")


@pytest.mark.parametrize("status", ["sent", "failed", "skipped"])
def test_a_final_outcome_is_left_as_it_is(status: str) -> None:
    final = Outcome(status, "so")  # type: ignore[arg-type]
    assert conclude(job_of(), final, NOW, 1.0) == (final, None)
