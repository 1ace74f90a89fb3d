"""The circuit breaker, on a clock that the test moves."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from sender.smtp.breaker import FAILURES, JITTER, LONGEST, PAUSE, Breaker

SEED = random.randrange(2**32)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allows()
        breaker.failed("refused")


def test_it_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.succeeded()
    fail(breaker, FAILURES - 1)
    assert breaker.allows() and breaker.state == "closed"
    breaker.failed("refused")
    assert not breaker.allows() and breaker.reason == "refused"
    assert 0 < breaker.wait() <= PAUSE * (1 + JITTER)


def test_after_the_pause_one_probe_goes_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += PAUSE * 2
    assert breaker.wait() == 0
    assert breaker.allows()
    assert not breaker.allows() and breaker.wait() > 0
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True] * 3 and breaker.wait() == 0


def test_probes_that_fail_come_less_often_up_to_a_limit(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    for _ in range(10):
        clock.now += LONGEST * 2
        fail(breaker, 1)
    assert LONGEST * (1 - JITTER) <= breaker.wait() <= LONGEST * (1 + JITTER)


def test_a_probe_that_says_nothing_lets_another_go(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += PAUSE * 2
    assert breaker.allows()
    breaker.let_go()
    assert breaker.allows()


@seed(SEED)
@given(st.lists(st.sampled_from(["ask", "failed", "succeeded", "let go", "time"]), max_size=60))
def test_never_two_probes_and_never_stuck(steps: list[str]) -> None:
    print(f"seed {SEED}")
    clock = Clock()
    breaker = Breaker(clock)
    out = 0
    for step in steps:
        if step == "ask":
            before = breaker.state
            if breaker.allows():
                assert before == "closed" or out == 0, "a second probe"
                out += 1
        elif step == "time":
            clock.now += 1.0
        elif out:
            out = 0
            {"failed": lambda: breaker.failed("x"), "succeeded": breaker.succeeded}.get(
                step, breaker.let_go
            )()
    if out:
        breaker.let_go()
    clock.now += LONGEST * 2
    assert breaker.allows()
