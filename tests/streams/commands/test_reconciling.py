"""What reconciling sees: on a real log nothing, and each thing that is taken away from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.app import create_app
from streams.commands.books import CHANGELOG, Books
from streams.commands.inputs import Kept, Ledger
from streams.commands.outputs import Jobs
from streams.jobs import Delivery, InboxEntry, Job, encode
from streams.partitions import partition_of
from streams.settings import Settings
from tests.streams.world import World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARTITIONS = 2
PATIENCE = timedelta(minutes=15)


def test_the_books_are_read_from_the_changelog_that_the_worker_writes() -> None:
    settings = Settings(jwt_secret="s" * 32, link_secret="s" * 32, api_keys=("k" * 32,))
    assert create_app(settings).partition_tables.changelog == CHANGELOG


def stranger_to(partition: int) -> str:
    names = (f"u{number}" for number in range(99))
    return next(name for name in names if partition_of(name, PARTITIONS) != partition)


@pytest.fixture
async def world() -> World:
    """Give a log with every outcome: kept, sent on, dead, for everyone, decided again."""
    world = World(partitions=PARTITIONS)
    await world.tick(NOON)
    for name in ("ann", "bob"):
        world.put("users", {"user_id": name, "email": f"{name}@example.com", "username": name})
    await world.run()
    world.put("activity", {"user_id": "ann", "body": "hello"})
    world.put("activity", {"user_id": stranger_to(0), "body": "hello"}, partition=0)
    world.put("activity", {"user_id": "ann"})
    world.put("activity", b"{")
    for _ in range(2):
        world.put("activity", {"user_id": "bob", "body": "twice", "event_id": "e"})
    world.put("weekly_reminder", {"event": "send_reminder"}, partition=0)
    await world.run()
    return world


def books(world: World) -> Books:
    found = Books()
    for partition in range(PARTITIONS):
        tables = world.memory.tables(partition)
        found.of[partition] = tables.counts.book
        for job_id, row in tables.deferred.rows.items():
            assert row.job.not_before is not None
            found.resting[job_id] = partition, row.job.not_before
    return found


def letters(world: World) -> dict[str, Kept]:
    return {
        f"{one['topic']}/{one['partition']}/{one['offset']}": Kept(
            "0/0", one["length"], one["sha256"]
        )
        for one in world.values("dead_letters")
    }


def records(world: World, topic: str) -> Sequence[Any]:
    return world._all(topic)


def heard(world: World, topic: str = "activity", **changes: Any) -> Ledger:
    ledger = Ledger(topic, PARTITIONS, changes.get("letters", letters(world)))
    for record in records(world, topic):
        if not changes.get("without", lambda record: False)(record):
            ledger.hear(record, True)
    ledger.finish()
    return ledger


@pytest.mark.parametrize("topic", ["activity", "users", "weekly_reminder", "held", "clock"])
async def test_a_log_on_which_nothing_is_missing_adds_up(world: World, topic: str) -> None:
    ledger = heard(world, topic)
    assert ledger.wrong == [] and list(ledger.compare(books(world))) == []


async def test_the_line_of_a_topic_is_its_equation(world: World) -> None:
    line = heard(world).line(books(world), 0).split()
    equation = "7 = 0 applied + 3 decided + 1 duplicate + 1 forwarded + 2 dead; 0 not processed yet"
    assert " ".join(line) == f"activity {equation}"


async def test_a_copy_that_is_missing_is_named_by_its_original(world: World) -> None:
    (copy,) = (record for record in records(world, "activity") if record.headers)
    ledger = heard(world, without=lambda record: record is copy)
    original = dict(copy.headers)["cinema-origin"].decode()
    assert ledger.wrong == [f"{original}: no copy of it is in partition {copy.partition}"]


async def test_a_record_without_its_dead_letter_is_named(world: World) -> None:
    known = letters(world)
    place = next(iter(known))
    del known[place]
    ledger = heard(world, letters=known)
    (wrong,) = ledger.wrong
    assert wrong.startswith(f"{place}: cannot be read (")
    assert len(list(ledger.compare(books(world)))) == 2


async def test_a_letter_that_holds_other_bytes_is_named(world: World) -> None:
    known = letters(world)
    place = next(iter(known))
    known[place] = Kept("1/7", known[place].length, "0" * 64)
    assert heard(world, letters=known).wrong == [f"{place}: dead letter 1/7 holds other bytes"]


async def test_a_record_that_no_book_knows_is_counted(world: World) -> None:
    ledger = heard(world)
    extra = world.put("activity", {"user_id": "ann", "body": "not processed"})
    ledger.hear(extra, True)
    (wrong,) = ledger.compare(books(world))
    assert f"activity/{extra.partition}:" in wrong and "applied, decided or duplicate" in wrong


def jobs_of(world: World) -> Jobs:
    jobs = Jobs()
    for topic in ("outbox", "outbox_urgent", "held", "deliveries"):
        for record in records(world, topic):
            jobs.hear(record)
    return jobs


def deliver(world: World, status: Any = "sent", at: datetime = NOON) -> None:
    """Let every job on the lanes be delivered, and be in its inbox."""
    for number, job in enumerate(world.jobs()):
        partition = partition_of(job.user_id, PARTITIONS)
        delivery = job.delivery(status, "because", at)
        moment = int(at.timestamp() * 1000)
        world.log.append("deliveries", partition, None, encode(delivery), (), moment)
        entry = InboxEntry(
            id=number + 1,
            job_id=job.job_id,
            kind=job.kind,
            title="",
            body="",
            url="",
            created_at=at,
        )
        world.log.append("inbox", partition, job.user_id.encode(), encode(entry), (), moment)


def entered(world: World, jobs: Jobs) -> Jobs:
    for record in records(world, "inbox"):
        jobs.enter(record)
    return jobs


async def test_jobs_count_once_by_their_latest_status_and_are_those_of_the_books(
    world: World,
) -> None:
    deliver(world, "retrying")
    deliver(world, at=NOON + timedelta(minutes=1))
    deliver(world, "failed", at=NOON + timedelta(minutes=2))
    jobs = entered(world, jobs_of(world))
    assert jobs.counts()["activity"] == {"sent": 3}
    assert list(jobs.compare(books(world), books(world))) == []
    assert list(jobs.unfounded()) == [] and jobs.wrong == []


def made(world: World) -> Job:
    job = next(iter(world.jobs("outbox_urgent")))
    assert isinstance(job, Job)
    return job


async def test_a_job_whose_delivery_is_missing_is_named_when_it_has_not_moved_for_long(
    world: World,
) -> None:
    jobs = jobs_of(world)
    moved = datetime.fromtimestamp(max(one.last for one in jobs.states.values()) / 1000, UTC)
    assert list(jobs.stuck(moved + timedelta(minutes=14), PATIENCE, books(world))) == []
    stuck = list(jobs.stuck(moved + timedelta(hours=1), PATIENCE, books(world)))
    assert len(stuck) == 3
    assert any(f"job {made(world).job_id} (activity): is queued" in one for one in stuck)


async def test_a_job_that_rests_is_well_until_it_is_long_overdue(world: World) -> None:
    deliver(world)
    job = made(world)
    held = job.delivery("retrying", "451", NOON)
    jobs = Jobs()
    world.log.append("deliveries", 0, None, encode(held))
    jobs.hear(world.log.records["deliveries", 0][-1])
    later = datetime(2030, 1, 1, tzinfo=UTC)
    assert len(list(jobs.stuck(later, PATIENCE, books(world)))) == 1
    rests = books(world)
    rests.resting[job.job_id] = 0, NOON + timedelta(hours=1)
    assert list(jobs.stuck(later, PATIENCE, rests)) == []
    rests.resting[job.job_id] = 0, NOON - timedelta(hours=1)
    (overdue,) = jobs.stuck(later, PATIENCE, rests)
    assert "was due" in overdue


async def test_what_was_never_made_and_what_is_in_no_inbox_is_named(world: World) -> None:
    deliver(world)
    jobs = jobs_of(world)
    assert len(list(jobs.unfounded())) == 3
    foreign: Delivery = made(world).delivery("sent", "250 ok", NOON)
    invented = encode(foreign).replace(foreign.job_id.encode(), b"f" * 32)
    record = world.log.append("deliveries", 0, None, invented)
    entered(world, jobs).hear(record)
    assert next(iter(jobs.unfounded())).endswith("is sent, and was never made")
    (wrong,) = jobs.compare(books(world), books(world))
    assert wrong == "activity: 4 job ids are on the topics, the books say 3"


async def test_a_job_that_is_in_the_inbox_under_two_ids_is_named(world: World) -> None:
    deliver(world)
    jobs = entered(world, jobs_of(world))
    again = records(world, "inbox")[0]
    jobs.enter(again)
    assert jobs.wrong == []
    jobs.enter(replace(again, value=again.value.replace(b'"id":1,', b'"id":77,')))
    assert len(jobs.wrong) == 1 and "twice (1 and 77)" in jobs.wrong[0]
