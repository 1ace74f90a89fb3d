"""Killed at the worst moments: nothing is lost, and what comes twice is what is declared.

A stack of its own on the embedded broker, whose workers kill themselves at named points
(streams/faults.py) and are started again by the test.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count, islice
from pathlib import Path
from uuid import NAMESPACE_URL, uuid4, uuid5

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from dev import services
from dev.logs import read_topic
from dev.services import EMBEDDED
from streams.faults import POINTS
from streams.partitions import partition_of
from tests.conftest import eventually, running
from tests.integration.cinema import Gauges
from tests.worker import Worker

pytestmark = pytest.mark.timeout(180)

PARTITIONS = 2
# Enough for a few batches of each partition.
PEOPLE = 60
# Exceptions in a row that stop a topic.
ERRORS = 3
# Mails that a sender may have under way at once: what a kill may repeat.
IN_FLIGHT = 4
# A worker takes seconds to start, and a claim of the killed one runs out after 15 s.
LIMIT = 60.0


class Stack:
    """One worker of each app over a broker, a Redis and a mailbox."""

    def __init__(self, broker: str, mailbox: str, data: Path, **settings: object) -> None:
        self.broker, self.mailbox = broker, mailbox
        self._data, self._settings, self._numbers = data, settings, count()
        self.workers: dict[str, Worker] = {}

    async def start(self, app: str, fault: str = "", module: str = "") -> None:
        """Start a worker, to be killed at a point or not, and wait until it is ready."""
        data = self._data / f"{app}-{next(self._numbers)}"
        worker = Worker(module or f"{app}.app", data, **self._settings, FAULT=fault)
        self.workers[app] = worker
        await worker.start()
        await worker.until_ready(LIMIT)

    async def again(self, app: str, fault: str = "", module: str = "") -> None:
        """End a worker and start another in its place."""
        await self.workers[app].stop()
        await self.start(app, fault, module)

    async def dies(self, app: str) -> None:
        """Wait until a worker has killed itself."""
        process = self.workers[app].process
        assert process is not None
        assert await asyncio.wait_for(process.wait(), LIMIT) == -signal.SIGKILL

    async def mails(self) -> Counter[tuple[str, str]]:
        """Return how often each mail came, by address and Message-ID."""
        page = f"{self.mailbox}/api/v1/messages?limit=50000"
        async with aiohttp.ClientSession() as session, session.get(page) as response:
            found = (await response.json())["messages"]
        return Counter((one["To"][0]["Address"], one["MessageID"]) for one in found)

    async def greeted(self, people: list[str]) -> dict[str, int]:
        """Wait until all have their greeting and all is quiet; return how often each came."""
        wanted = {f"{user}@example.com" for user in people}
        mails: Counter[tuple[str, str]] = Counter()

        async def all_have_one() -> bool:
            nonlocal mails
            mails = await self.mails()
            return wanted <= {address for address, _ in mails}

        async def quiet() -> bool:
            found = await self.workers["sender"].gauges()
            return found.total("cinema_lag") == 0 == found.total("cinema_in_hand")

        await eventually(all_have_one, LIMIT, 0.2)
        await eventually(quiet, LIMIT, 0.2)
        mails = await self.mails()
        ids = Counter(address for address, _ in mails if address in wanted)
        assert set(ids.values()) == {1}, "one occasion, one Message-ID"
        return {address: number for (address, _), number in mails.items() if address in wanted}

    async def records(self, topic: str, outcome: str) -> float:
        """Return how many records of a topic ended so, when there are none left."""
        found = Gauges()

        async def none_left() -> bool:
            nonlocal found
            found = await self.workers["streams"].gauges()
            places = found.values("cinema_lag", "partition")
            return len(places) == PARTITIONS and found.total("cinema_lag", topic=topic) == 0

        await eventually(none_left, LIMIT, 0.2)
        return found.total("cinema_records", topic=topic, outcome=outcome)

    async def jobs(self, people: list[str]) -> Counter[tuple[str, str]]:
        """Return how often each job of theirs was written, by person and id."""
        records = await read_topic(self.broker, "outbox_urgent")
        jobs = [msgspec.json.decode(record.value or b"{}") for record in records]
        return Counter((job["user_id"], job["job_id"]) for job in jobs if job["user_id"] in people)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Give the stack, both workers ready."""
    data = tmp_path_factory.mktemp("faults")
    async with AsyncExitStack() as opened:
        broker = await opened.enter_async_context(running(await services.broker(EMBEDDED, data)))
        redis = await opened.enter_async_context(running(services.redis(data, broker=EMBEDDED)))
        mailbox, url = services.mailbox(data)
        await opened.enter_async_context(running(mailbox))
        stack = Stack(
            broker.address,
            url,
            data / "workers",
            BROKER=f"embedded://{broker.address}",
            REDIS=f"redis://{redis.address}/0",
            SMTP=f"smtp://{mailbox.address}",
            PARTITIONS=PARTITIONS,
            ERRORS_IN_A_ROW=ERRORS,
            MAILS_IN_FLIGHT=IN_FLIGHT,
        )
        for app in ("streams", "sender"):
            await stack.start(app)
        yield stack
        for worker in stack.workers.values():
            await worker.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def producer(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.broker, acks="all")
    await producer.start()
    yield producer
    await producer.stop()


async def register(producer: AIOKafkaProducer) -> list[str]:
    """Register people of one partition, all at once, and return their ids.

    Of one: what another partition has in flight at the kill would be repeated, too.
    """
    names = (f"person-{uuid4().hex[:8]}" for _ in count())
    people = list(islice((one for one in names if partition_of(one, PARTITIONS) == 0), PEOPLE))
    for user in people:
        value = {"event": "send_greeting", "user_id": user, "email": f"{user}@example.com"}
        data = msgspec.json.encode(value | {"username": "P"})
        place = partition_of(user, PARTITIONS)
        await producer.send("registration", data, user.encode(), partition=place)
    await producer.flush()
    return people


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("point", "written_again"),
    [("decided", False), ("jobs-acknowledged", True), ("changelog-acknowledged", False)],
)
async def test_a_streams_worker_killed_at_this_point_loses_nothing_and_sends_no_mail_twice(
    stack: Stack, producer: AIOKafkaProducer, point: str, written_again: bool
) -> None:
    before = await stack.records("registration", "decided")
    await stack.again("streams", point)
    people = await register(producer)
    await stack.dies("streams")
    await stack.start("streams")
    mails = await stack.greeted(people)
    assert await stack.records("registration", "decided") == before + PEOPLE
    jobs = await stack.jobs(people)
    assert Counter(user for user, _ in jobs) == Counter(people), "one id each"
    again = sum(jobs.values()) - PEOPLE
    print(f"\n{point}: {again} jobs of {PEOPLE} written again, 0 mails twice")
    # Jobs go before the state that says they have gone: only between the two are they repeated.
    assert bool(again) == written_again
    assert set(mails.values()) == {1}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("point", "least", "most"),
    [("claimed", 0, 0), ("accepted", 1, IN_FLIGHT), ("unmarked", 0, 0)],
)
async def test_a_sender_killed_at_this_point_loses_nothing_and_repeats_what_was_in_flight(
    stack: Stack, producer: AIOKafkaProducer, point: str, least: int, most: int
) -> None:
    await stack.again("sender", point)
    people = await register(producer)
    await stack.dies("sender")
    await stack.start("sender")
    mails = await stack.greeted(people)
    found = await stack.workers["sender"].gauges()
    maybe = found.total("cinema_maybe_sent_twice_total")
    twice = sum(number - 1 for number in mails.values())
    print(f"\n{point}: {twice} mails of {PEOPLE} twice, {maybe:.0f} counted as maybe sent")
    assert least <= twice <= most
    assert max(mails.values()) <= 2
    # Whatever may have come twice was counted.
    assert maybe >= twice


@pytest.mark.asyncio(loop_scope="session")
async def test_a_topic_whose_decisions_raise_stands_still_says_so_and_goes_on_once_mended(
    stack: Stack, producer: AIOKafkaProducer
) -> None:
    await stack.again("streams", module="tests.alone.raising_app")
    addresses = [f"letter-{uuid4().hex[:8]}@example.com" for _ in range(ERRORS + 4)]
    for address in addresses:
        letter = {"subject": "S", "text": "T", "to": address}
        user = str(uuid5(NAMESPACE_URL, f"mailto:{address}"))
        place = partition_of(user, PARTITIONS)
        await producer.send_and_wait("letters", msgspec.json.encode(letter), partition=place)

    async def says_so() -> bool:
        return "letters stands still" in await stack.workers["streams"].waits_for()

    await eventually(says_so, LIMIT, 0.2)
    # Another topic goes on, and no letter is taken any more.
    people = await register(producer)
    await stack.greeted(people)
    stopped = await stack.workers["streams"].gauges()
    assert stopped.total("cinema_topics_stopped") == 1
    assert stopped.total("cinema_records", topic="letters", outcome="dead") == ERRORS
    assert stopped.total("cinema_lag", topic="letters") > 0
    await stack.again("streams")
    assert await stack.records("letters", "decided") == 4
    assert await stack.records("letters", "dead") == ERRORS

    async def the_rest_came() -> bool:
        # Which of them: two partitions take turns.
        got = {address for address, _ in await stack.mails()}
        return len(got.intersection(addresses)) == len(addresses) - ERRORS

    await eventually(the_rest_came, LIMIT, 0.2)


def test_every_point_has_its_test() -> None:
    tested = [
        mark.args[1]
        for test in (
            test_a_streams_worker_killed_at_this_point_loses_nothing_and_sends_no_mail_twice,
            test_a_sender_killed_at_this_point_loses_nothing_and_repeats_what_was_in_flight,
        )
        for mark in test.pytestmark
        if mark.name == "parametrize"
    ]
    assert [case[0] for cases in tested for case in cases] == list(POINTS)
