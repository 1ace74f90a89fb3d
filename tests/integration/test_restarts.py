"""Workers killed and started again, and records read again: nothing is lost or said twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.app import create_app
from streams.settings import Settings
from tests.conftest import Up, eventually
from tests.integration.cinema import Cinema, Gauges

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_a_worker_does_not_read_back_what_it_writes() -> None:
    # With a buffer of one Faust keeps reading the changelog of its own partitions after recovery
    # (tables/recovery.py), and rows that were just overwritten came back.
    settings = Settings(jwt_secret="s" * 32, link_secret="s" * 32, api_keys=("k" * 32,))
    assert create_app(settings).partition_tables.recovery_buffer_size > 1


async def killed(cinema: Cinema) -> None:
    """Kill both workers with -9."""
    for app in ("streams", "sender"):
        os.kill(cinema.up.pids[app][0], signal.SIGKILL)


async def back(cinema: Cinema, old: dict[str, Any]) -> None:
    """Wait until other workers than the old ones are ready."""

    async def replaced() -> bool:
        pids = cinema.up.pids
        return all(pids[app] != old[app] for app in ("streams", "sender"))

    await eventually(replaced, 5)
    await eventually(cinema.ready, 60)


@contextmanager
def frozen(up: Up) -> Iterator[None]:
    """Keep the supervisor from starting workers again for a while."""
    up.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        up.process.send_signal(signal.SIGCONT)


async def forget_offsets(up: Up, *groups: str) -> None:
    """Forget what the groups have committed, once the broker has given up their killed members."""
    admin = AdminClient({"bootstrap.servers": up.addresses.broker})

    def delete() -> None:
        for future in admin.delete_consumer_groups(list(groups)).values():
            future.result(10)

    async def deleted() -> bool:
        try:
            await asyncio.to_thread(delete)
        except KafkaException as error:
            return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
        return True

    await eventually(deleted, 30, 0.5)


@dataclass
class Before:
    """What there was before the workers were killed, and the numbers then."""

    people: list[str]
    month: str
    statistics: list[object]
    jobs: Counter[str]
    records: dict[str, float]


INPUTS = ("users", "registration", "watch_history", "bookmarks", "letters", "activity", "episodes")


async def numbers(cinema: Cinema) -> tuple[Counter[str], dict[str, float]]:
    found = await cinema.settle()
    records = {topic: found.total("cinema_records", topic=topic) for topic in INPUTS}
    ids = Counter(job["job_id"] for jobs in cinema.log.jobs.values() for job in jobs)
    return ids, records


def like(user: str, body: str) -> dict[str, str]:
    return {"user_id": user, "body": body, "group": "likes"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def before(cinema: Cinema) -> AsyncIterator[Before]:
    """Let people register and watch, then kill both workers with -9."""
    await cinema.to_daytime()
    film = await cinema.film(genres=["phoenix"])
    at = (cinema.now.replace(day=1) - timedelta(days=1)).replace(day=10)
    people = []
    for _ in range(10):
        user = await cinema.person()
        greeting = {"event": "send_greeting", "user_id": user, "email": f"{user}@example.com"}
        await cinema.send("registration", greeting | {"username": "P"}, user)
        await cinema.watch(user, film, at)
        bookmark = {"user_id": user, "series_id": "phoenix", "added": True}
        await cinema.send("bookmarks", bookmark, user)
        await cinema.send("activity", like(user, "before"), user)
        people.append(user)
    await cinema.send("letters", {"subject": "P", "text": "Once", "to": "phoenix@example.com"})
    await cinema.settle()
    month = f"{at:%Y-%m}"
    statistics = [await cinema.statistics(user, month) for user in people]
    jobs, records = await numbers(cinema)
    old = cinema.up.pids
    await killed(cinema)
    await back(cinema, old)
    yield Before(people, month, statistics, jobs, records)


async def test_the_tables_come_back_after_a_kill(cinema: Cinema, before: Before) -> None:
    after = [await cinema.statistics(user, before.month) for user in before.people]
    assert after == before.statistics
    assert all(one["top_genre"] == "phoenix" for one in after)
    assert await numbers(cinema) == (before.jobs, before.records)


async def test_nobody_is_greeted_again_after_a_kill(cinema: Cinema, before: Before) -> None:
    for user in before.people:
        greeting = {"event": "send_greeting", "user_id": user, "email": f"{user}@example.com"}
        await cinema.send("registration", greeting | {"username": "P"}, user)
    await cinema.send("letters", {"subject": "P", "text": "Once", "to": "phoenix@example.com"})
    await cinema.settle()
    for user in before.people:
        assert ("skipped", "greeted already") in cinema.deliveries(user)
        assert len(await cinema.mails(f"{user}@example.com")) == 1
    assert len(await cinema.mails("phoenix@example.com")) == 1


async def test_lists_and_choices_come_back_after_a_kill(cinema: Cinema, before: Before) -> None:
    episode = {"series_id": "phoenix", "serial_name": "Phoenix", "link": "https://c.example/p"}
    await cinema.send("episodes", episode, "phoenix")
    await cinema.settle()
    for user in before.people:
        assert len(cinema.jobs(user, "episode")) == 2


async def test_a_window_that_was_open_goes_on_after_a_kill(cinema: Cinema, before: Before) -> None:
    for user in before.people:
        await cinema.send("activity", like(user, "after"), user)
    await cinema.advance(minutes=2)
    for user in before.people:
        (job,) = cinema.jobs(user, "activity")
        assert job["context"]["bodies"] == ["before", "after"]


async def test_what_is_read_again_changes_nothing_and_says_nothing(
    cinema: Cinema, before: Before
) -> None:
    jobs, records = await numbers(cinema)
    deliveries, entries = cinema.log.counts["deliveries"], cinema.log.counts["inbox"]
    mails = len(await cinema.message_ids())
    unread = [(await cinema.frames(user, 0))[0]["unread"] for user in before.people]
    old = cinema.up.pids
    with frozen(cinema.up):
        await killed(cinema)
        await forget_offsets(cinema.up, "cinema-streams", "cinema-sender")
    await back(cinema, old)
    again = await cinema.settle()
    assert again.total("cinema_lane_jobs") > 0
    assert await numbers(cinema) == (jobs, records)
    for user, was in zip(before.people, before.statistics, strict=True):
        assert await cinema.statistics(user, before.month) == was
    # Who reads a job again says its outcome again; it was told before, and is final.
    assert cinema.log.counts["deliveries"] >= deliveries
    assert len(await cinema.message_ids()) == mails
    assert [(await cinema.frames(user, 0))[0]["unread"] for user in before.people] == unread
    assert cinema.log.counts["inbox"] >= entries


async def test_a_mail_server_that_was_away_gets_each_mail_once_when_it_is_back(
    cinema: Cinema,
) -> None:
    to = [f"{cinema.name()}@example.com" for _ in range(5)]
    with frozen(cinema.up):
        # The mailbox is in memory: it comes back empty.
        os.kill(cinema.up.pids["mailbox"], signal.SIGKILL)
        await cinema.send("letters", {"subject": "Wait", "text": "for it", "to": to})

        async def paused() -> bool:
            async with cinema.http.get(f"{cinema.sender}/metrics") as page:
                return Gauges(await page.text()).total("cinema_lane_paused", lane="urgent") == 1

        await eventually(paused, 20)
    await cinema.settle()
    for address in to:
        assert len(await cinema.mails(address)) == 1


async def test_without_redis_the_sender_waits_says_so_and_goes_on(cinema: Cinema) -> None:
    user, address = cinema.name(), f"{cinema.name()}@example.com"
    redis = cinema.up.pids["redis"]
    os.kill(redis, signal.SIGSTOP)
    try:
        await cinema.send("letters", {"subject": "Redis", "text": "is away", "to": address})
        await cinema.send("activity", {"user_id": user, "body": "Redis is away"}, user)

        async def says_so() -> bool:
            async with cinema.http.get(f"{cinema.sender}/health/ready") as page:
                return page.status == 503 and "redis" in (await page.text()).lower()

        await eventually(says_so, 20)
        assert await cinema.mails(address) == []
    finally:
        os.kill(redis, signal.SIGCONT)
    await eventually(lambda: cinema.ready(cinema.sender), 20)
    await cinema.settle()
    assert len(await cinema.mails(address)) == 1
    assert [status for status, _ in cinema.deliveries(user)] == ["sent"]
