"""Lanes, ledger and `held` together, against what they promise, with workers killed at any point.

Real Redis, real lanes; Kafka is a list of records that are there until their batch was done, the
mail server is a counter of what it has taken.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from agents.held import outdated
from sender.channels import Halted, Outcome, Outcomes
from sender.lanes import Lane
from sender.ledger import LEASE, Ledger
from streams.errors import RedisUnavailable
from streams.jobs import FINAL_STATUSES, Cause, Erase, Job, decode_delivery, decode_job
from streams.records import Results
from streams.serving import connect
from streams.settings import Settings
from tests.sender.conftest import NOW, job_of, never

WORKERS = ("one", "two")
MAYBE = Outcome("retrying", "maybe sent: timed out", maybe=True)
ANSWERS = [
    Outcome("sent", "250 ok"),
    Outcome("failed", "550 no"),
    Outcome("retrying", "451 later"),
    Outcome("deferred", "over the limit", after=timedelta(seconds=5)),
    MAYBE,
]
# Where a batch ends: when all is done, or with a kill somewhere on the way.
# Or another worker, which believes itself the owner, comes in between.
Ending = Literal[
    "all done", "before DATA", "after 250", "noted", "acknowledged", "settled", "another between"
]


class Killed(BaseException):
    """The process is gone."""


class Server:
    """A channel whose mail server does what the test says, and counts what it has taken."""

    name = "email"
    repeatable = False
    paused_by: str | None = None

    def __init__(self) -> None:
        self.answer = ANSWERS[0]
        self.ending: Ending = "all done"
        self.taken: Counter[str] = Counter()
        self.asked: list[Job] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def ready(self) -> None: ...

    async def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        for job in jobs:
            self.asked.append(job)
            if self.ending == "before DATA":
                raise Killed
            if self.answer.status == "sent" or self.answer.maybe or self.ending == "after 250":
                self.taken[job.job_id] += 1
            if self.ending == "after 250":
                raise Killed
            yield [(job, self.answer)]


class Script:
    """A script of the ledger on a Redis that can be away."""

    def __init__(self, real: Any, machine: Any) -> None:
        self.real = real
        self.machine = machine

    async def over(self, head: Any, rows: Any) -> Any:
        if self.machine.away:
            raise RedisUnavailable("Redis does not answer")
        return await self.real.over(head, rows)


def ended(results: Results) -> set[str]:
    """Return the jobs whose final status is among the records."""
    found = [output for output in results.outputs if output.topic.name == "deliveries"]
    told = [decode_delivery(output.value or b"") for output in found]
    return {one.job_id for one in told if one.status in FINAL_STATUSES}


def machine(socket: Path, seed: int) -> type[RuleBasedStateMachine]:
    """Return a machine that lets workers deliver, die, stop and come back."""

    class DeliveryMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner()
            self.redis: Redis = connect(f"unix://{socket}")
            self.runner.run(self.empty())
            self.ms = int(NOW.timestamp() * 1000)
            self.server = Server()
            self.away = False
            self.generation = 0
            self.lanes = {name: self.lane(name) for name in WORKERS}
            self.outbox: list[Job] = []
            # As the table `deferred` has it: one row a job.
            self.held: dict[str, Job] = {}
            self.known: dict[str, Job] = {}
            self.maybes: Counter[str] = Counter()
            # What leaves a doubt: an end between a claim and a note, or no answer.
            self.doubts: Counter[str] = Counter()
            # Jobs whose final status Kafka has, and those that are settled in the ledger, too.
            self.told: set[str] = set()
            self.final: set[str] = set()
            self.erased: datetime | None = None

        async def empty(self) -> None:
            await self.redis.flushall()

        def lane(self, name: str) -> Lane:
            self.generation += 1
            ledger = Ledger(self.redis, name, str(self.generation), clock=lambda: self.ms)
            ledger._claim = Script(ledger._claim, self)  # type: ignore[assignment]
            ledger._mark = Script(ledger._mark, self)  # type: ignore[assignment]
            return Lane("bulk", [self.server], ledger, (), Settings())

        @property
        def now(self) -> datetime:
            return NOW + timedelta(milliseconds=self.ms - int(NOW.timestamp() * 1000))

        @rule(number=st.integers(0, 2))
        def decided(self, number: int) -> None:
            job = job_of(str(number), created_at=self.now)
            if job.job_id not in self.known:
                self.known[job.job_id] = job
                self.outbox.append(job)

        @precondition(lambda self: self.known)
        @rule(data=st.data())
        def read_again(self, data: st.DataObject) -> None:
            self.outbox.append(data.draw(st.sampled_from(list(self.known.values()))))

        @precondition(lambda self: self.outbox)
        @rule(
            data=st.data(),
            name=st.sampled_from(WORKERS),
            answer=st.sampled_from(ANSWERS),
            ending=st.sampled_from(get_args(Ending)),
        )
        def handled(self, data: st.DataObject, name: str, answer: Outcome, ending: Ending) -> None:
            job = data.draw(st.sampled_from(self.outbox))
            self.server.answer, self.server.ending = answer, ending
            if answer.maybe or ending in ("before DATA", "after 250") or self.lingers(job, answer):
                self.doubts[job.job_id] += 1
            try:
                results = self.handle(name, job)
                if ending == "noted":
                    raise Killed
                self.acknowledged(results)
                if ending == "acknowledged":
                    raise Killed
                if ending == "another between":
                    other = WORKERS[WORKERS.index(name) - 1]
                    between = self.handle(other, job)
                    self.acknowledged(between)
                    self.settled(between)
                self.settled(results)
                if ending == "settled":
                    raise Killed
            except Killed:
                self.lanes[name] = self.lane(name)
            else:
                self.outbox.remove(job)

        def lingers(self, job: Job, answer: Outcome) -> bool:
            """Tell whether a doubt outlives a try that is put off: it is counted each time."""
            return answer.status == "deferred" and self.doubts[job.job_id] > 0

        @precondition(lambda self: self.outbox)
        @rule(
            data=st.data(),
            name=st.sampled_from(WORKERS),
            answer=st.sampled_from(ANSWERS),
            away=st.booleans(),
            commits=st.booleans(),
            ends=st.booleans(),
        )
        def halted(
            self,
            data: st.DataObject,
            name: str,
            answer: Outcome,
            away: bool,
            commits: bool,
            ends: bool,
        ) -> None:
            """Stop with a mail under way, or have the partition moved; Redis may go, too."""
            job = data.draw(st.sampled_from(self.outbox))
            self.server.answer, self.server.ending = answer, "all done"
            asked = len(self.server.asked)
            self.doubts[job.job_id] += answer.maybe or away or self.lingers(job, answer)

            def halts() -> bool:
                self.away = away and len(self.server.asked) > asked
                return len(self.server.asked) > asked

            results = self.handle(name, job, halts)
            self.acknowledged(results)
            self.settled(results)
            self.away = False
            if results.whole and commits:
                self.outbox.remove(job)
            if ends:
                self.lanes[name] = self.lane(name)

        @precondition(lambda self: self.outbox)
        @rule(data=st.data(), name=st.sampled_from(WORKERS))
        def redis_is_away(self, data: st.DataObject, name: str) -> None:
            asked = len(self.server.asked)
            self.away = True
            try:
                self.handle(name, data.draw(st.sampled_from(self.outbox)))
            except RedisUnavailable:
                pass
            else:
                raise AssertionError("claimed without a Redis")
            finally:
                self.away = False
            assert len(self.server.asked) == asked

        @rule(seconds=st.sampled_from([1, 5, 14, 16, 90, 4000]))
        def time_passes(self, seconds: int) -> None:
            self.ms += seconds * 1000
            for job in list(self.held.values()):
                if job.not_before is not None and job.not_before <= self.now:
                    del self.held[job.job_id]
                    self.outbox.append(msgspec.structs.replace(job, not_before=None))

        @rule(name=st.sampled_from(WORKERS))
        def erase(self, name: str) -> None:
            erase = Erase(user_id="anna", at=self.now, cause=Cause("users", 0, 1))
            self.runner.run(self.lanes[name].handle([erase], self.now, never))
            self.erased = self.now

        def handle(self, name: str, job: Job, halted: Halted = never) -> Results:
            lane, asked = self.lanes[name], len(self.server.asked)
            before, final = lane.maybe_sent, set(self.final)
            try:
                return self.runner.run(lane.handle([job], self.now, halted))
            finally:
                self.maybes[job.job_id] += lane.maybe_sent - before
                for one in self.server.asked[asked:]:
                    assert one.job_id not in final, f"handed out after {final}"
                    assert self.erased is None or one.created_at > self.erased

        def acknowledged(self, results: Results) -> None:
            for output in results.outputs:
                if output.topic.name == "held":
                    job = decode_job(output.value or b"")
                    if not outdated(job, self.held.get(job.job_id)):
                        self.held[job.job_id] = job
            self.told |= ended(results)

        def settled(self, results: Results) -> None:
            async def settle() -> None:
                await results.settle()

            self.runner.run(settle())
            if not self.away:
                self.final |= ended(results)

        @invariant()
        def nothing_comes_twice_unless_it_was_counted(self) -> None:
            for job, times in self.server.taken.items():
                assert times <= 1 + self.maybes[job], f"{times} times, {self.maybes[job]} counted"
            for job, counted in self.maybes.items():
                assert counted <= self.doubts[job], f"{counted} counted without a reason"

        def teardown(self) -> None:
            try:
                if self.known:
                    self.nothing_is_stuck()
            finally:
                self.runner.run(self.redis.aclose())
                self.runner.close()

        def nothing_is_stuck(self) -> None:
            """Every job ends when a lease has run out and somebody works."""
            self.server.answer, self.server.ending = ANSWERS[0], "all done"
            self.ms += int(LEASE.total_seconds() * 1000)
            last = self.lanes["one"] = self.lane("one")
            # Each was decided and is read at least once more.
            self.outbox += list(self.known.values())
            for _ in range(40):
                while self.outbox:
                    results = self.handle("one", self.outbox.pop())
                    self.acknowledged(results)
                    self.settled(results)
                self.time_passes(86400)
            assert not self.held and last.counts["foreign"] == 0
            assert self.told == self.known.keys(), "lost"
            self.nothing_comes_twice_unless_it_was_counted()

    DeliveryMachine._hypothesis_internal_use_seed = seed
    return DeliveryMachine


def test_lanes_ledger_and_held_keep_their_promise(redis_socket: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    run_state_machine_as_test(
        machine(redis_socket, seed),
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
