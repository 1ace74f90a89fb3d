"""Who fills Redis, and when: one at a time, the others wait, and again when it was emptied."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from redis.asyncio import Redis

from sender import refilling
from sender.inbox import Inbox, Kept
from sender.ledger import Ledger
from sender.refill import Refill
from sender.refilling import Filling, Lost, Refilling
from streams.delivery_log import DeliveryLog
from streams.jobs import (
    Cause,
    Delivery,
    Erase,
    InboxEntry,
    InboxErased,
    InboxRead,
    encode,
    job_id,
)
from streams.logs import Logs
from streams.serving import FILLED, connect
from streams.settings import Settings
from tests.conftest import eventually
from tests.sender.conftest import NOW, job_of


class Slow:
    """Fills nothing, and takes as long as the test wants."""

    def __init__(self) -> None:
        self.fills = 0
        self.go_on = asyncio.Event()

    async def fill(self, logs: object, progress: object) -> Counter[str]:
        self.fills += 1
        await self.go_on.wait()
        return Counter()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refilling, "LOOK", 0.05)
    monkeypatch.setattr(refilling, "LEASE", 0.4)


def worker(redis: Redis, refill: Any, name: str) -> Refilling:
    return Refilling(Filling(redis, refill, lambda: nullcontext()), name)  # type: ignore[arg-type, return-value]


def is_full(one: Refilling) -> bool:
    return one.waits_for is None


async def test_of_two_workers_one_fills_and_both_wait_until_it_is_done(redis: Redis) -> None:
    slow = Slow()
    workers = [worker(redis, slow, name) for name in ("one", "other")]
    for one in workers:
        await one.start()
    await asyncio.sleep(0.6)
    assert slow.fills == 1 and not any(map(is_full, workers))
    assert {str(one.waits_for) for one in workers} >= {"is being filled by another worker"}
    assert await workers[0].full(lambda: True) is False
    slow.go_on.set()
    assert await asyncio.wait_for(workers[0].full(), 2)
    assert await asyncio.wait_for(workers[1].full(), 2)
    for one in workers:
        await one.stop()
    assert slow.fills == 1 and await redis.get("filling") is None


async def test_a_redis_emptied_while_workers_run_is_filled_again(redis: Redis) -> None:
    slow = Slow()
    slow.go_on.set()
    one = worker(redis, slow, "one")
    await one.start()
    await asyncio.wait_for(one.full(), 2)
    first = await redis.get("filled")
    await redis.flushall()

    async def again() -> bool:
        return slow.fills == 2 and is_full(one)

    await eventually(again, 2)
    await one.stop()
    assert await redis.get("filled") not in (None, first)


async def test_a_redis_emptied_under_a_filling_is_filled_from_the_beginning(redis: Redis) -> None:
    slow = Slow()
    one = worker(redis, slow, "one")
    await one.start()
    await asyncio.sleep(0.2)
    await redis.flushall()

    async def again() -> bool:
        return slow.fills == 2

    await eventually(again, 2)
    slow.go_on.set()
    await asyncio.wait_for(one.full(), 2)
    await one.stop()


async def test_what_a_killed_worker_began_another_begins_again(redis: Redis) -> None:
    slow = Slow()
    slow.go_on.set()
    killed = Filling(redis, slow, nullcontext)  # type: ignore[arg-type]
    assert await killed.begin("killed")
    one = worker(redis, slow, "one")
    await one.start()
    await asyncio.wait_for(one.full(), 3)
    assert slow.fills == 1
    with pytest.raises(Lost):
        await killed.fill("killed")
    await one.stop()


async def test_with_redis_away_nobody_knows_that_it_is_full() -> None:
    away = connect("redis://127.0.0.1:9/0")
    one = worker(away, Slow(), "one")
    await one.start()
    await asyncio.sleep(0.2)
    assert "Redis does not answer" in str(one.waits_for)
    await one.stop()
    await away.aclose()


# -- what is put back


class Topics(Logs):
    """Topics as lists, in the order in which things were said."""

    def __init__(self) -> None:
        self.records: dict[str, list[ConsumerRecord]] = {}
        self.now = NOW

    def say(self, topic: str, key: str, value: object) -> None:
        self.now += timedelta(seconds=1)
        log = self.records.setdefault(topic, [])
        moment = int(self.now.timestamp() * 1000)
        body = encode(value)
        log.append(
            ConsumerRecord(
                topic, 0, len(log), moment, 0, key.encode(), body, None, len(key), len(body), ()
            )
        )

    async def partitions(self, *topics: str) -> list[TopicPartition]:
        return [TopicPartition(topic, 0) for topic in topics]

    async def read(self, partitions: Sequence[TopicPartition], *rest: Any, **options: Any) -> Any:
        log = self.records.get(partitions[0].topic, [])
        for start in range(0, len(log), 2):
            yield log[start : start + 2]


def entry(number: int, at: datetime) -> InboxEntry:
    return InboxEntry(
        id=number,
        job_id=f"{number:032x}",
        kind="activity",
        title="",
        body=str(number),
        url="",
        created_at=at,
    )


def delivered(name: str, user: str, at: datetime) -> Delivery:
    return Delivery(
        job_id=job_id(name, "letter", user, "email"),
        user_id=user,
        channel="email",
        kind="letter",
        status="sent",
        reason="250 ok",
        attempt=0,
        at=at,
        cause=Cause("letters", 0, 1),
    )


@pytest.fixture
def said() -> Topics:
    return Topics()


async def fill(redis: Redis, settings: Settings, said: Topics) -> Counter[str]:
    ledger = Ledger(redis, "filler", "1")
    refill = Refill(redis, settings, ledger, wall=lambda: NOW + timedelta(days=1))
    return await refill.fill(said)


async def entries(redis: Redis, user_id: str) -> list[Kept]:
    await redis.set(FILLED, "by the tests")
    return (await Inbox(redis).page(user_id)).entries


async def test_who_was_erased_does_not_come_back_even_when_only_the_inbox_remembers(
    redis: Redis, settings: Settings, said: Topics
) -> None:
    said.say("inbox", "anna", entry(1, NOW))
    said.say("deliveries", "anna", delivered("before", "anna", NOW))
    said.say("inbox", "anna", InboxErased(NOW))
    said.say("inbox", "anna", entry(2, NOW + timedelta(minutes=1)))
    said.say("deliveries", "anna", delivered("after", "anna", NOW + timedelta(minutes=1)))
    await fill(redis, settings, said)
    assert [kept.entry.id for kept in await entries(redis, "anna")] == [2]
    log = DeliveryLog(redis)
    assert [one.at for one in await log.latest("anna")] == [NOW + timedelta(minutes=1)]
    assert await log.counts() == {"letter": {"sent": 2}}
    verdicts = await Ledger(redis, "sender", "1").claim(
        [job_of("old", created_at=NOW), job_of("new", created_at=NOW + timedelta(seconds=1))]
    )
    assert [verdict.state for verdict in verdicts] == ["erased", "mine"]


async def test_what_is_there_already_stays_and_twice_is_once(
    redis: Redis, settings: Settings, said: Topics
) -> None:
    for number in range(1, 6):
        said.say("inbox", "anna", entry(number, NOW))
    said.say("inbox", "anna", InboxRead([2, 4]))
    said.say("deliveries", "anna", delivered("one", "anna", NOW))
    said.say("outbox_urgent", "boris", Erase(user_id="boris", at=NOW, cause=Cause("users", 0, 1)))
    counts = await fill(redis, settings, said)
    assert counts["entries"] == 5 and counts["reads"] == 2 and counts["erasures"] == 1
    await fill(redis, settings, said)
    kept = await entries(redis, "anna")
    assert [one.entry.id for one in kept] == [1, 2, 3, 4, 5]
    assert [one.read for one in kept] == [False, True, False, True, False]
    assert await DeliveryLog(redis).counts() == {"letter": {"sent": 1}}


async def test_what_was_read_before_its_entry_was_written_is_read_when_it_comes_back(
    redis: Redis, settings: Settings, said: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten records a slice: the entry comes in a later one than what was read of it.
    monkeypatch.setattr("sender.refill.SLICE", 1)
    said.say("inbox", "anna", InboxRead([50]))
    for number in range(1, 25):
        said.say("inbox", "boris", entry(number, NOW))
    said.say("inbox", "anna", entry(50, NOW))
    counts = await fill(redis, settings, said)
    (kept,) = await entries(redis, "anna")
    assert kept.read and counts["reads"] == 1


async def test_a_job_in_hand_is_not_taken_from_its_owner(
    redis: Redis, settings: Settings, said: Topics
) -> None:
    ledger = Ledger(redis, "sender", "1")
    job, done = job_of("in hand"), job_of("done")
    await ledger.claim([job])
    said.say("deliveries", "anna", done.delivery("sent", "250 ok", NOW))
    said.say("deliveries", "anna", job.delivery("retrying", "451", NOW))
    await fill(redis, settings, said)
    other = Ledger(redis, "other", "1")
    assert [one.state for one in await other.claim([job, done])] == ["foreign", "done"]
