"""The ledger on a real Redis: by example, and against a model of what it promises."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis

from sender.channels import Outcome
from sender.hands import Hands
from sender.ledger import LEASE, Ledger
from sender.verdicts import Verdict
from streams.jobs import Job
from streams.serving import connect
from tests.sender.conftest import NOW, job_of

SENT = Outcome("sent", "250 ok")
LATER = Outcome("retrying", "451 not now", after=timedelta(minutes=10))
LEASE_MS = int(LEASE.total_seconds() * 1000)


class Clock:
    """Unix milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = int(NOW.timestamp() * 1000)

    def __call__(self) -> int:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += int(time.total_seconds() * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def one(redis: Redis, clock: Clock) -> Ledger:
    return Ledger(redis, "one", "1", clock=clock)


@pytest.fixture
def other(redis: Redis, clock: Clock) -> Ledger:
    return Ledger(redis, "other", "1", clock=clock)


async def states(ledger: Ledger, *jobs: Job) -> list[str]:
    return [verdict.state for verdict in await ledger.claim(jobs)]


async def test_a_job_is_claimed_once_and_never_again_after_it_was_sent(
    one: Ledger, other: Ledger
) -> None:
    job = job_of()
    assert await states(one, job) == ["mine"]
    await one.settle([(job, SENT)])
    assert await states(one, job) == ["done"]
    assert await states(other, job) == ["done"]
    assert one.in_hand == other.in_hand == 0


async def test_the_first_final_state_stays(one: Ledger, other: Ledger, clock: Clock) -> None:
    job = job_of()
    await one.claim([job])
    clock.pass_by(LEASE)
    await other.claim([job])
    await other.settle([(job, SENT)])
    await one.settle([(job, Outcome("failed", "550 no"))])
    (key,) = await one.redis.keys("*")
    (state,) = await one.redis.hvals(key)
    assert isinstance(state, bytes) and state.startswith(b"s ")


async def test_a_live_claim_of_another_says_how_long_it_lasts(
    one: Ledger, other: Ledger, clock: Clock
) -> None:
    job = job_of()
    await one.claim([job])
    clock.pass_by(timedelta(seconds=5))
    assert await other.claim([job]) == [Verdict("foreign", left=LEASE - timedelta(seconds=5))]
    assert other.in_hand == 0


async def test_a_claim_that_ran_out_may_have_been_sent(
    one: Ledger, other: Ledger, clock: Clock
) -> None:
    job = job_of()
    await one.claim([job])
    clock.pass_by(LEASE)
    assert await states(other, job) == ["maybe"]


async def test_a_restarted_worker_is_another(redis: Redis, one: Ledger, clock: Clock) -> None:
    job = job_of()
    await one.claim([job])
    assert await states(Ledger(redis, "one", "2", clock=clock), job) == ["foreign"]


async def test_a_renewed_claim_stays(one: Ledger, other: Ledger, clock: Clock) -> None:
    job = job_of()
    await one.claim([job])
    for _ in range(5):
        clock.pass_by(LEASE / 2)
        await one.renew()
    assert await states(other, job) == ["foreign"]
    assert one.lost == 0


async def test_a_claim_that_another_has_taken_over_is_lost(
    one: Ledger, other: Ledger, clock: Clock
) -> None:
    job = job_of()
    await one.claim([job])
    clock.pass_by(LEASE)
    await other.claim([job])
    await one.renew()
    assert one.lost == 1
    assert await states(Ledger(one.redis, "third", "1", clock=clock), job) == ["foreign"]


async def test_a_claim_whose_records_were_never_acknowledged_is_not_renewed_for_ever(
    one: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of()
    await one.claim([job])
    one.returned([job])
    await one.renew()
    assert one.in_hand == 1
    monkeypatch.setattr("sender.hands.ACKNOWLEDGED", -1.0)
    await one.renew()
    assert one.in_hand == 0


async def test_a_noted_outcome_is_known_to_whoever_comes_next(
    one: Ledger, other: Ledger, clock: Clock
) -> None:
    sent, later = job_of("sent"), job_of("later")
    await one.claim([sent, later])
    await one.note([(sent, SENT), (later, LATER)])
    assert await states(other, sent, later) == ["foreign", "foreign"]
    clock.pass_by(LEASE)
    assert await other.claim([sent, later]) == [
        Verdict("known", outcome=SENT),
        Verdict("known", outcome=LATER),
    ]
    await one.settle([(sent, SENT)])
    other.drop([sent])
    assert await states(other, sent) == ["done"]


async def test_a_released_job_goes_on_with_its_next_attempt_only(
    one: Ledger, other: Ledger
) -> None:
    first, second = job_of(), job_of(attempt=1)
    await one.claim([first])
    await one.settle([(first, LATER)])
    assert await states(other, first) == ["done"]
    assert await states(other, second) == ["mine"]
    assert await states(one, first) == ["done"]


async def test_the_next_attempt_is_no_maybe_though_the_release_was_never_written(
    one: Ledger, other: Ledger, clock: Clock
) -> None:
    await one.claim([job_of()])
    clock.pass_by(LEASE)
    assert await states(other, job_of(attempt=1)) == ["mine"]


async def test_what_was_given_back_is_as_it_was_before(one: Ledger, other: Ledger) -> None:
    first, second = job_of(), job_of(attempt=1)
    await one.claim([first])
    await one.give_back([first])
    assert await states(other, first) == ["mine"]
    await other.settle([(first, LATER)])
    await one.claim([second])
    await one.give_back([second])
    assert await states(other, first) == ["done"]
    assert await states(other, second) == ["mine"]


async def test_a_repeat_in_the_same_process_waits_for_the_first(one: Ledger) -> None:
    job = job_of()
    await one.claim([job])
    repeat = asyncio.create_task(one.claim([job_of("another"), job]))
    await asyncio.sleep(0.05)
    assert not repeat.done()
    await one.settle([(job, SENT)])
    assert [verdict.state for verdict in await repeat] == ["mine", "done"]


async def test_an_erasure_removes_a_users_entries_and_stops_jobs_of_before(
    one: Ledger, redis: Redis, clock: Clock
) -> None:
    before, boris = job_of("before"), job_of("boris", user_id="boris")
    after = job_of("after", created_at=NOW + timedelta(seconds=1))
    await one.claim([before, boris])
    await one.settle([(before, SENT), (boris, SENT)])
    await one.erase("anna", NOW)
    assert await states(one, before, after, boris) == ["erased", "mine", "done"]
    rows = [await redis.hgetall(key) for key in await redis.keys("*")]
    assert sorted(len(row) for row in rows) == [1, 2]


async def test_what_was_in_flight_at_an_erasure_writes_nothing_back(
    one: Ledger, redis: Redis
) -> None:
    job = job_of()
    await one.claim([job])
    await one.erase("anna", NOW)
    await one.settle([(job, SENT)])
    (key,) = await redis.keys("*")
    assert list(await redis.hkeys(key)) == [b"x"]


async def test_old_entries_of_a_busy_user_are_pruned(one: Ledger, clock: Clock) -> None:
    jobs = [job_of(str(number)) for number in range(63)]
    await one.claim(jobs)
    await one.settle([(job, SENT) for job in jobs])
    clock.pass_by(timedelta(days=32))
    await one.claim([job_of("new")])
    (key,) = await one.redis.keys("*")
    assert await one.redis.hlen(key) == 1
    assert 0 < await one.redis.ttl(key) <= 30 * 86400


async def test_redis_s_own_clock_counts_without_another(redis: Redis) -> None:
    short = Ledger(redis, "one", "1", lease=timedelta(milliseconds=50))
    await short.start()
    await short.claim([job_of()])
    await asyncio.sleep(0.15)
    other = Ledger(redis, "other", "1", lease=timedelta(milliseconds=50))
    assert await states(other, job_of()) == ["foreign"]
    await short.stop()
    await asyncio.sleep(0.06)
    assert await states(other, job_of()) == ["maybe"]


async def test_hands_are_taken_all_at_once_or_not_at_all() -> None:
    hands = Hands()
    a, b = job_of("a"), job_of("b")
    await hands.take([a])
    waiting = asyncio.create_task(hands.take([a, b]))
    await asyncio.sleep(0)
    await asyncio.wait_for(hands.take([b]), 1)
    hands.drop([a])
    await asyncio.sleep(0)
    assert not waiting.done()
    hands.drop([b])
    await asyncio.wait_for(waiting, 1)
    assert len(hands) == 2


@dataclass
class Entry:
    """What the model holds of a job: who claimed which attempt until when, and what is known."""

    attempt: int
    owner: str | None = None
    until: int = 0
    outcome: Outcome | None = None
    final: bool = False


@dataclass
class Model:
    """The ledger's promise, without its encoding."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def claim(self, job: Job, owner: str, now: int) -> Verdict:
        entry = self.entries.get(job.job_id)
        if entry is None:
            verdict = Verdict("mine")
        elif entry.final or entry.attempt > job.attempt:
            return Verdict("done")
        elif entry.attempt < job.attempt:
            verdict = Verdict("mine")
        elif entry.owner is None:
            return Verdict("done")
        elif entry.owner != owner and entry.until > now:
            return Verdict("foreign", left=timedelta(milliseconds=entry.until - now))
        elif entry.outcome is not None:
            entry.owner, entry.until = owner, now + LEASE_MS
            return Verdict("known", outcome=entry.outcome)
        else:
            verdict = Verdict("in hand" if entry.owner == owner else "maybe")
        self.entries[job.job_id] = Entry(job.attempt, owner, now + LEASE_MS)
        return verdict

    def owns(self, job: Job, owner: str) -> Entry | None:
        entry = self.entries.get(job.job_id)
        ours = entry and not entry.final and (entry.owner, entry.attempt) == (owner, job.attempt)
        return entry if ours else None

    def mark(self, job: Job, owner: str, outcome: Outcome | None, now: int, final: bool) -> None:
        """Note an outcome, make it final or release; without an outcome give the claim back."""
        entry = self.owns(job, owner)
        if final and outcome is not None and outcome.status != "retrying":
            known = self.entries.get(job.job_id)
            self.entries[job.job_id] = known or Entry(job.attempt)
            self.entries[job.job_id].final = True
        elif outcome is not None and (entry or job.job_id not in self.entries):
            self.entries[job.job_id] = (
                Entry(job.attempt) if final else Entry(job.attempt, owner, now + LEASE_MS, outcome)
            )
        elif outcome is None and entry:
            if job.attempt:
                self.entries[job.job_id] = Entry(job.attempt - 1)
            else:
                del self.entries[job.job_id]


OWNERS = st.sampled_from(["one", "other"])
OUTCOMES = st.sampled_from([SENT, LATER, Outcome("failed", "550 no"), Outcome("skipped", "late")])


def machine(socket: Path, seed: int) -> type[RuleBasedStateMachine]:
    """Return a machine that does whatever workers may do, on Redis and on the model at once."""

    class LedgerMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner()
            self.redis = connect(f"unix://{socket}")
            self.runner.run(self.empty())
            self.clock, self.model = Clock(), Model()
            self.generations = {"one": 1, "other": 1}
            self.ledgers = {name: self.new(name) for name in self.generations}
            self.hands: dict[str, dict[str, Job]] = {"one": {}, "other": {}}
            self.sent: set[str] = set()

        async def empty(self) -> None:
            await self.redis.flushall()

        def teardown(self) -> None:
            self.runner.run(self.redis.aclose())
            self.runner.close()

        def new(self, name: str) -> Ledger:
            generation = str(self.generations[name])
            return Ledger(self.redis, name, generation, clock=self.clock)

        @rule(name=OWNERS, numbers=st.sets(st.integers(0, 3), min_size=1), data=st.data())
        def claim(self, name: str, numbers: set[int], data: st.DataObject) -> None:
            ledger, hands = self.ledgers[name], self.hands[name]
            jobs = [
                job_of(str(number), attempt=data.draw(st.integers(0, 2)))
                for number in sorted(numbers)
            ]
            jobs = [job for job in jobs if job.job_id not in hands]
            verdicts = self.runner.run(ledger.claim(jobs))
            expected = [self.model.claim(job, ledger.owner, self.clock.now) for job in jobs]
            assert verdicts == expected
            for job, verdict in zip(jobs, verdicts, strict=True):
                if verdict.state in ("mine", "maybe", "in hand", "known"):
                    hands[job.job_id] = job
                if job.job_id in self.sent:
                    assert verdict.state == "done", "sent twice"

        def in_hand(self, name: str, data: st.DataObject) -> Job:
            return self.hands[name][data.draw(st.sampled_from(sorted(self.hands[name])))]

        def has(self, name: str) -> bool:
            return bool(self.hands[name])

        @precondition(lambda self: any(self.hands.values()))
        @rule(outcome=OUTCOMES, data=st.data(), settle=st.booleans())
        def mark(self, outcome: Outcome, data: st.DataObject, settle: bool) -> None:
            name = data.draw(st.sampled_from([name for name in self.hands if self.has(name)]))
            job, ledger = self.in_hand(name, data), self.ledgers[name]
            if settle:
                self.runner.run(ledger.settle([(job, outcome)]))
                del self.hands[name][job.job_id]
                if outcome.status == "sent":
                    self.sent.add(job.job_id)
            else:
                self.runner.run(ledger.note([(job, outcome)]))
            self.model.mark(job, ledger.owner, outcome, self.clock.now, settle)

        @precondition(lambda self: any(self.hands.values()))
        @rule(data=st.data())
        def give_back(self, data: st.DataObject) -> None:
            name = data.draw(st.sampled_from([name for name in self.hands if self.has(name)]))
            job, ledger = self.in_hand(name, data), self.ledgers[name]
            entry = self.model.owns(job, ledger.owner)
            if entry is not None and entry.outcome is not None:
                return
            self.runner.run(ledger.give_back([job]))
            del self.hands[name][job.job_id]
            self.model.mark(job, ledger.owner, None, self.clock.now, False)

        @rule(name=OWNERS)
        def renew(self, name: str) -> None:
            self.runner.run(self.ledgers[name].renew())
            for job in self.hands[name].values():
                if entry := self.model.owns(job, self.ledgers[name].owner):
                    entry.until = self.clock.now + LEASE_MS

        @rule(seconds=st.integers(1, 20))
        def time_passes(self, seconds: int) -> None:
            self.clock.pass_by(timedelta(seconds=seconds))

        @rule(name=OWNERS)
        def killed(self, name: str) -> None:
            self.generations[name] += 1
            self.ledgers[name] = self.new(name)
            self.hands[name] = {}

    LedgerMachine._hypothesis_internal_use_seed = seed
    return LedgerMachine


def test_the_ledger_does_what_its_model_does(redis_socket: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    run_state_machine_as_test(
        machine(redis_socket, seed),
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
