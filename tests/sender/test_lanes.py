"""A lane on a real Redis: what is claimed, tried, noted, recorded and settled, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from sender.channels import Channel, Halted, LogChannel, Outcome, Outcomes
from sender.inbox import Inbox
from sender.lanes import Lane
from sender.ledger import Ledger
from sender.links import ConfirmLinks
from sender.suppressions import Suppressions
from streams.delivery_log import DeliveryLog
from streams.errors import RedisUnavailable
from streams.jobs import (
    Cause,
    Delivery,
    Erase,
    InboxErased,
    Job,
    decode_delivery,
    decode_inbox,
    decode_job,
)
from streams.records import Results
from streams.settings import Settings
from tests.sender.conftest import NOW, job_of, never

SENT = Outcome("sent", "250 ok")


class Told:
    """A channel that does as it is told, job by job, and remembers what it was given."""

    name = "email"
    repeatable = False

    def __init__(self, **outcomes: Outcome) -> None:
        self.outcomes = outcomes
        self.delivered: list[str] = []
        self.away = 0
        self.paused_by: str | None = None
        self.before: Callable[[Job], Any] | None = None
        self.back = asyncio.Event()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def ready(self) -> None:
        await self.back.wait()

    async def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        for job in jobs:
            if halted():
                return
            if self.before is not None:
                await self.before(job)
            if self.away:
                self.away -= 1
                continue
            self.delivered.append(job.job_id)
            yield [(job, self.outcomes.get(job.kind, SENT))]


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis, "one", "1")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def lane(ledger: Ledger, told: Told, settings: Settings, redis: Redis) -> Lane:
    return lane_of(ledger, told, settings, redis)


def lane_of(ledger: Ledger, channel: Channel, settings: Settings, redis: Redis) -> Lane:
    stores = (Inbox(redis), DeliveryLog(redis), ConfirmLinks(redis, settings))
    return Lane("urgent", [channel, LogChannel()], ledger, stores, settings)


def deliveries(results: Results) -> list[Delivery]:
    found = [output for output in results.outputs if output.topic.name == "deliveries"]
    return [decode_delivery(output.value or b"") for output in found]


def held(results: Results) -> list[Job]:
    found = [output for output in results.outputs if output.topic.name == "held"]
    return [decode_job(output.value or b"") for output in found]


async def test_a_job_is_delivered_once_and_its_delivery_is_recorded(lane: Lane, told: Told) -> None:
    job = job_of()
    results = await lane.handle([job, job], NOW, never)
    (delivery,) = deliveries(results)
    assert delivery == Delivery(
        job_id=job.job_id,
        user_id="anna",
        channel="email",
        kind="letter",
        status="sent",
        reason="250 ok",
        attempt=0,
        at=NOW,
        cause=Cause("letters", 0, 1),
    )
    assert results.outputs[0].key == "anna"
    await results.settle()
    again = await lane.handle([job], NOW, never)
    assert again.outputs == [] and told.delivered == [job.job_id]
    assert +lane.counts == {"sent": 1, "repeated": 1}


async def test_nothing_is_final_before_kafka_has_acknowledged(
    lane: Lane, told: Told, redis: Redis, settings: Settings
) -> None:
    job = job_of()
    await lane.handle([job], NOW, never)
    # Killed here. Another worker finds the claim run out, and the outcome noted.
    short = Ledger(redis, "two", "1", lease=timedelta(0))
    other = lane_of(short, told, settings, redis)
    foreign = await other.handle([job], NOW, never)
    assert [item.attempt for item in held(foreign)] == [0] and deliveries(foreign) == []
    not_before = held(foreign)[0].not_before
    assert not_before is not None and timedelta(0) < not_before - NOW < timedelta(seconds=20)
    short.clock = lambda: 2**43
    redone = await other.handle([job], NOW, never)
    assert [item.status for item in deliveries(redone)] == ["sent"]
    assert told.delivered == [job.job_id], "not a second time"
    assert other.maybe_sent == 0 and other.counts["foreign"] == 1


async def test_a_claim_that_ran_out_unnoted_is_sent_again_and_counted(
    lane: Lane, told: Told, redis: Redis
) -> None:
    job, logged = job_of(), job_of("logged", channel="log")
    dead = Ledger(redis, "dead", "1", lease=timedelta(milliseconds=1))
    await dead.claim([job, logged])
    await asyncio.sleep(0.01)
    results = await lane.handle([job, logged], NOW, never)
    assert {item.status for item in deliveries(results)} == {"sent"}
    assert lane.maybe_sent == 1, "a repeat on the log harms nobody"


async def test_a_temporary_failure_goes_to_held_and_only_its_next_attempt_comes_through(
    lane: Lane, told: Told
) -> None:
    told.outcomes["letter"] = Outcome("retrying", "451 later")
    results = await lane.handle([job_of()], NOW, never)
    (again,) = held(results)
    assert (again.attempt, again.not_before) == (1, NOW + timedelta(minutes=1))
    (delivery,) = deliveries(results)
    assert (delivery.status, delivery.attempt) == ("retrying", 0)
    await results.settle()
    assert (await lane.handle([job_of()], NOW, never)).outputs == []
    del told.outcomes["letter"]
    results = await lane.handle([msgspec.structs.replace(again, not_before=None)], NOW, never)
    assert [(item.status, item.attempt) for item in deliveries(results)] == [("sent", 1)]
    assert len(told.delivered) == 2


async def test_a_mail_that_nobody_answered_for_is_counted(lane: Lane, told: Told) -> None:
    told.outcomes["letter"] = Outcome("retrying", "maybe sent: timed out", maybe=True)
    assert len(held(await lane.handle([job_of()], NOW, never))) == 1
    assert lane.maybe_sent == 1


async def test_the_last_try_fails_for_good(lane: Lane, told: Told) -> None:
    told.outcomes["letter"] = Outcome("retrying", "451 later")
    results = await lane.handle([job_of(attempt=17)], NOW, never)
    await results.settle()
    assert held(results) == []
    assert [item.status for item in deliveries(results)] == ["failed"]
    assert (await lane.handle([job_of(attempt=17)], NOW, never)).outputs == []


async def test_an_expired_job_is_skipped_and_not_tried(lane: Lane, told: Told) -> None:
    results = await lane.handle([job_of(expires_at=NOW)], NOW, never)
    (delivery,) = deliveries(results)
    assert delivery.status == "skipped" and "expired" in delivery.reason
    assert told.delivered == []


async def test_a_job_that_was_sent_and_has_expired_since_stays_sent(lane: Lane) -> None:
    job = job_of(expires_at=NOW + timedelta(hours=1))
    await (await lane.handle([job], NOW, never)).settle()
    assert (await lane.handle([job], NOW + timedelta(hours=2), never)).outputs == []


async def test_an_unknown_channel_fails_alone(lane: Lane) -> None:
    results = await lane.handle([job_of(channel="pigeon"), job_of("other")], NOW, never)
    assert sorted(item.status for item in deliveries(results)) == ["failed", "sent"]


async def test_a_mail_to_a_suppressed_address_is_skipped_unless_it_has_been_tried(
    lane: Lane, told: Told, redis: Redis
) -> None:
    job, other = job_of(to="anna@example.com"), job_of("other", to="boris@example.com")
    suppressions = Suppressions(redis)
    await suppressions.add(job.to, "550 5.1.1 unknown", NOW)
    results = await lane.handle([job, other], NOW, never)
    reasons = {item.job_id: item.reason for item in deliveries(results)}
    assert reasons == {job.job_id: "suppressed: 550 5.1.1 unknown", other.job_id: "250 ok"}
    assert told.delivered == [other.job_id]

    # Its outcome may not have been noted: a batch was broken off, and meanwhile it was suppressed.
    tried = job_of("tried", to="vera@example.com")
    lane._known[tried.job_id] = (tried.attempt, SENT)
    await suppressions.add(tried.to, "550 5.1.1 unknown", NOW)
    (delivery,) = deliveries(await lane.handle([tried], NOW, never))
    assert delivery.status == "sent" and tried.job_id not in told.delivered


async def test_a_suppressing_refusal_leaves_a_suppression(lane: Lane, told: Told) -> None:
    told.outcomes["letter"] = Outcome("failed", "550 5.1.1 unknown", suppress=True)
    results = await lane.handle([job_of()], NOW, never)
    (record,) = [output for output in results.outputs if output.topic.name == "suppressions"]
    assert record.value is not None and b"5.1.1" in record.value
    assert "anna" not in str(record.key)


async def test_with_every_server_away_the_lane_waits_and_jobs_keep_their_attempts(
    lane: Lane, told: Told, ledger: Ledger
) -> None:
    told.away, told.paused_by = 3, "every mail server is away"
    batch = [job_of(str(number)) for number in range(5)]
    handling = asyncio.create_task(lane.handle(batch, NOW, never))
    await asyncio.sleep(0.1)
    assert not handling.done() and lane.waits.reason == "every mail server is away"
    assert len(told.delivered) == 2 and ledger.in_hand == 2
    told.back.set()
    results = await asyncio.wait_for(handling, 2)
    assert lane.waits.reason is None
    assert [item.attempt for item in deliveries(results)] == [0] * 5
    assert held(results) == [] and sorted(told.delivered) == sorted(job.job_id for job in batch)
    assert lane.maybe_sent == 0


async def test_without_redis_nothing_is_tried_and_the_same_batch_goes_through_later(
    lane: Lane, told: Told, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise RedisUnavailable("Redis does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_claim", type("Away", (), {"over": staticmethod(away)})())
        with pytest.raises(RedisUnavailable):
            await lane.handle([job_of()], NOW, never)
    assert told.delivered == [] and ledger.in_hand == 0
    assert len(deliveries(await lane.handle([job_of()], NOW, never))) == 1


class Refilled(Told):
    """An inbox that is being put back when it is asked first."""

    name = "websocket"
    repeatable = True

    async def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        if self.away:
            self.away -= 1
            raise RedisUnavailable("inboxes are being put back")
        yield [(job, SENT) for job in jobs]


async def test_while_inboxes_are_put_back_a_batch_waits_with_its_mails_and_then_goes_through(
    ledger: Ledger, told: Told, settings: Settings
) -> None:
    refilled = Refilled()
    refilled.away = 1
    lane = Lane("urgent", [refilled, told], ledger, (), settings)
    batch = [job_of("a", channel="websocket"), job_of("b")]
    with pytest.raises(RedisUnavailable):
        await lane.handle(batch, NOW, never)
    assert told.delivered == [] and ledger.in_hand == 0
    results = await asyncio.wait_for(lane.handle(batch, NOW, never), 5)
    assert told.delivered == [batch[1].job_id] and lane.maybe_sent == 0
    assert [one.status for one in deliveries(results)] == ["sent", "sent"]


async def test_redis_gone_in_the_middle_makes_no_second_mail(
    lane: Lane, told: Told, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(job: Job) -> None:
        if told.delivered:
            raise RedisUnavailable("Redis does not answer")

    told.before = gone
    first, second = job_of("first"), job_of("second")
    with pytest.raises(RedisUnavailable):
        await lane.handle([first, second], NOW, never)
    told.before = None
    results = await lane.handle([first, second], NOW, never)
    assert [item.status for item in deliveries(results)] == ["sent", "sent"]
    assert told.delivered == [first.job_id, second.job_id]
    assert lane.maybe_sent == 0


async def test_an_outcome_that_could_not_be_noted_is_settled_when_redis_is_back(
    lane: Lane, told: Told, ledger: Ledger, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ledger._mark
    calls = 0

    async def flaky(head: Any, rows: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise RedisUnavailable("Redis does not answer")
        return await real.over(head, rows)

    monkeypatch.setattr(ledger, "_mark", type("Flaky", (), {"over": staticmethod(flaky)})())
    handling = asyncio.ensure_future(lane.handle([job_of()], NOW, never))
    await asyncio.sleep(0.1)
    assert lane.waits.reason == "Redis does not answer", "no other mail takes its place"
    results = await asyncio.wait_for(handling, 3)
    calls = 1
    settling = asyncio.ensure_future(results.settle())
    await asyncio.sleep(0.1)
    assert lane.waits.reason == "Redis does not answer"
    await asyncio.wait_for(settling, 3)
    assert lane.waits.reason is None and ledger.in_hand == 0
    assert (await lane.handle([job_of()], NOW, never)).outputs == []


async def test_a_batch_that_was_cancelled_in_mid_mail_may_have_been_sent(
    lane: Lane, told: Told, ledger: Ledger
) -> None:
    async def hang(job: Job) -> None:
        if told.delivered:
            await asyncio.sleep(60)

    told.before = hang
    first, second = job_of("first"), job_of("second")
    handling = asyncio.create_task(lane.handle([first, second], NOW, never))
    await asyncio.sleep(0.05)
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    assert ledger.in_hand == 0
    told.before = None
    results = await lane.handle([first, second], NOW, never)
    assert [item.status for item in deliveries(results)] == ["sent", "sent"]
    assert told.delivered == [first.job_id, second.job_id]
    assert lane.maybe_sent == 1


async def test_a_halted_batch_begins_nothing_more_and_the_next_worker_takes_the_rest_at_once(
    lane: Lane, told: Told, redis: Redis, settings: Settings
) -> None:
    batch = [job_of(str(number)) for number in range(5)]
    results = await lane.handle(batch, NOW, lambda: len(told.delivered) == 2)
    assert not results.whole and [item.status for item in deliveries(results)] == ["sent", "sent"]
    await results.settle()
    other = lane_of(Ledger(redis, "two", "1"), told, settings, redis)
    rest = await other.handle(batch, NOW, never)
    assert rest.whole and [item.status for item in deliveries(rest)] == ["sent"] * 3
    assert sorted(told.delivered) == sorted(job.job_id for job in batch)
    assert other.maybe_sent == other.counts["foreign"] == 0


async def test_what_nobody_answered_for_while_we_stop_is_a_maybe_of_the_next_worker_at_once(
    lane: Lane, told: Told, redis: Redis, settings: Settings, ledger: Ledger
) -> None:
    told.outcomes["letter"] = Outcome("retrying", "maybe sent: the worker stops", maybe=True)
    results = await lane.handle([job_of()], NOW, lambda: bool(told.delivered))
    assert not results.whole and results.outputs == [] and ledger.in_hand == 0
    assert lane.maybe_sent == 0, "nobody reads the numbers of a worker that has ended"
    del told.outcomes["letter"]
    other = lane_of(Ledger(redis, "two", "1"), told, settings, redis)
    results = await other.handle([job_of()], NOW, never)
    assert [(item.status, item.attempt) for item in deliveries(results)] == [("sent", 0)]
    assert other.maybe_sent == 1


async def test_a_halted_batch_waits_neither_for_mail_servers_nor_for_redis(
    lane: Lane, told: Told, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = asyncio.Event()
    told.away = 1
    paused = asyncio.create_task(lane.handle([job_of("a")], NOW, stopping.is_set))
    while lane.waits.reason is None:
        await asyncio.sleep(0.005)
    results = await lane.handle([job_of("b")], NOW, stopping.is_set)

    async def away(*_: Any) -> Any:
        raise RedisUnavailable("Redis does not answer")

    monkeypatch.setattr(ledger, "_mark", type("Away", (), {"over": staticmethod(away)})())
    settling = asyncio.ensure_future(results.settle())
    await asyncio.sleep(0.05)
    stopping.set()
    assert not (await asyncio.wait_for(paused, 1)).whole
    await asyncio.wait_for(settling, 1)
    assert lane.waits.reason is None and ledger.in_hand == 0


async def test_a_job_that_is_put_off_costs_no_attempt_and_comes_again_as_the_same(
    lane: Lane, told: Told, redis: Redis, settings: Settings
) -> None:
    told.outcomes["letter"] = Outcome("deferred", "over the limit", after=timedelta(seconds=7))
    results = await lane.handle([job_of()], NOW, never)
    (again,) = held(results)
    assert (again.attempt, again.not_before) == (0, NOW + timedelta(seconds=7))
    assert [item.status for item in deliveries(results)] == ["deferred"]
    await results.settle()
    del told.outcomes["letter"]
    other = lane_of(Ledger(redis, "two", "1"), told, settings, redis)
    results = await other.handle([msgspec.structs.replace(again, not_before=None)], NOW, never)
    assert [(item.status, item.attempt) for item in deliveries(results)] == [("sent", 0)]
    assert other.maybe_sent == other.counts["foreign"] == 0


async def test_a_worker_killed_after_it_put_a_job_off_leaves_no_doubt(
    lane: Lane, told: Told, redis: Redis, settings: Settings
) -> None:
    told.outcomes["letter"] = Outcome("deferred", "over the limit", after=timedelta(seconds=7))
    await lane.handle([job_of()], NOW, never)
    other = Ledger(redis, "two", "1", clock=lambda: 2**43)
    results = await lane_of(other, told, settings, redis).handle([job_of()], NOW, never)
    assert [item.attempt for item in held(results)] == [0]
    await results.settle()
    assert [verdict.state for verdict in await other.claim([job_of()])] == ["mine"]


async def test_a_repeat_of_a_job_in_hand_waits_until_it_is_settled(lane: Lane, told: Told) -> None:
    job = job_of()
    results = await lane.handle([job], NOW, never)
    repeat = asyncio.create_task(lane.handle([job], NOW, never))
    await asyncio.sleep(0.05)
    assert not repeat.done()
    await results.settle()
    assert (await asyncio.wait_for(repeat, 2)).outputs == []
    assert told.delivered == [job.job_id]


async def test_the_same_job_in_batches_at_once_is_sent_once(lane: Lane, told: Told) -> None:
    async def one() -> None:
        results = await lane.handle([job_of(), job_of("other")], NOW, never)
        await results.settle()

    await asyncio.wait_for(asyncio.gather(*(one() for _ in range(5))), 5)
    assert sorted(told.delivered) == sorted([job_of().job_id, job_of("other").job_id])


async def test_an_erasure_forgets_the_person_and_skips_their_jobs(
    lane: Lane, told: Told, redis: Redis
) -> None:
    results = await lane.handle([job_of("before")], NOW, never)
    await results.settle()
    await DeliveryLog(redis).fold(deliveries(results))
    erase = Erase(user_id="anna", at=NOW, cause=Cause("users", 0, 7))
    new = job_of("after", created_at=NOW + timedelta(seconds=1))
    results = await lane.handle([job_of("waiting"), erase, new], NOW, never)
    (said,) = (output for output in results.outputs if output.topic.name == "inbox")
    assert (said.key, decode_inbox(said.value or b"")) == ("anna", InboxErased(NOW))
    by_job = {item.job_id: (item.status, item.reason) for item in deliveries(results)}
    assert by_job == {
        job_of("waiting").job_id: ("skipped", "erased"),
        new.job_id: ("sent", "250 ok"),
    }
    assert await DeliveryLog(redis).latest("anna") == []
    assert lane.counts["erasures"] == 1


async def test_an_emptied_redis_stops_nothing(lane: Lane, redis: Redis) -> None:
    results = await lane.handle([job_of()], NOW, never)
    await redis.flushall()
    await redis.script_flush()
    await results.settle()
    assert len(deliveries(await lane.handle([job_of("next")], NOW, never))) == 1
    assert (await lane.handle([job_of()], NOW, never)).outputs == []
