"""The circuit breaker, on a clock that the test moves."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from sender.smtp.breaker import FAILURES, JITTER, LONGEST, PAUSE, Breaker, Try


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


def let_through(breaker: Breaker) -> Try:
    tried = breaker.allows()
    assert tried is not None
    return tried


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(let_through(breaker), "refused")


def test_it_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.succeeded()
    fail(breaker, FAILURES - 1)
    last = let_through(breaker)
    assert breaker.state == "closed"
    breaker.failed(last, "refused")
    assert not breaker.allows() and breaker.reason == "refused"
    assert 0 < breaker.wait() <= PAUSE * (1 + JITTER)


def test_after_the_pause_one_probe_goes_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += PAUSE * 2
    assert breaker.wait() == 0
    let_through(breaker)
    assert not breaker.allows() and breaker.wait() > 0
    breaker.succeeded()
    assert all(breaker.allows() for _ in range(3)) and breaker.wait() == 0


def test_probes_that_fail_come_less_often_up_to_a_limit(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    for _ in range(10):
        clock.now += LONGEST * 2
        fail(breaker, 1)
    assert LONGEST * (1 - JITTER) <= breaker.wait() <= LONGEST * (1 + JITTER)


def test_a_probe_that_says_nothing_lets_another_go(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += PAUSE * 2
    breaker.let_go(let_through(breaker))
    assert breaker.allows()


def test_a_mail_of_before_says_nothing_for_the_probe(breaker: Breaker, clock: Clock) -> None:
    slow, slower = let_through(breaker), let_through(breaker)
    fail(breaker, FAILURES)
    clock.now += PAUSE * 2
    probe = let_through(breaker)
    breaker.failed(slow, "lost")
    breaker.let_go(slower)
    assert breaker.state == "half-open" and not breaker.allows()
    breaker.failed(probe, "refused")
    assert str(breaker.state) == "open"


class BreakerMachine(RuleBasedStateMachine):
    """Many mails at one circuit: each was let through, and says later how it went."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.breaker = Breaker(lambda: self.now)
        self.out: list[Try] = []
        self.probe: Try | None = None

    @rule(mails=st.integers(1, 4))
    def ask(self, mails: int) -> None:
        for _ in range(mails):
            closed = self.breaker.state == "closed"
            if (tried := self.breaker.allows()) is not None:
                self.out.append(tried)
                if not closed:
                    assert self.probe is None, "a second probe"
                    self.probe = tried

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "let go"]))
    def end(self, data: st.DataObject, how: str) -> None:
        tried = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        state = self.breaker.state
        if how == "succeeded":
            self.breaker.succeeded()
            # Whatever is out from now on is one of many.
            self.probe = None
            assert self.breaker.state == "closed"
            return
        if how == "failed":
            self.breaker.failed(tried, "refused")
        else:
            self.breaker.let_go(tried)
        assert state == "closed" or self.breaker.state != "closed", "closed without a success"
        if tried is self.probe:
            self.probe = None
        elif state == "half-open":
            assert self.breaker.state == "half-open", "somebody else's end is not the probe's"

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    def teardown(self) -> None:
        while self.out:
            self.breaker.let_go(self.out.pop())
        self.now += LONGEST * 2
        assert self.breaker.allows() is not None, "stuck"


def test_a_circuit_has_one_probe_at_most_and_closes_with_a_success_alone() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    BreakerMachine._hypothesis_internal_use_seed = seed
    run_state_machine_as_test(
        BreakerMachine, settings=settings(max_examples=200, stateful_step_count=40)
    )
