"""A cinema's topics as producers and the sender see them, on a stack that has no sender."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import servers
from dev.cinema import gauges
from dev.errors import StackError
from dev.logs import end_offsets
from dev.stack import Stack
from streams import topics
from streams.lag import SENDER_GROUP
from streams.partitions import partition_of
from streams.progress import BUSY, POSITION
from streams.topics import Topic

#: How the ids of those begin whom campaigns are for.
PEOPLE: Final = "user-"
SENT: Final = tuple(
    topic.name for topic in (topics.USERS, topics.CAMPAIGNS, topics.ACTIVITY, topics.REGISTRATION)
)
# What is sent on to another partition comes back a moment later.
QUIET: Final = 3
SETTLE: Final = 0.3
POLL: Final = 0.02
LIMIT: Final = 120.0
START: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Said(msgspec.Struct):
    """What a job is told by."""

    job_id: str
    user_id: str
    context: dict[str, Any] = {}


class Cinema:
    """The topics as producers and the sender see them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.now = START
        #: When each person's first urgent job came, by `perf_counter`.
        self.urgent: dict[str, float] = {}
        #: The same for the last new job of each campaign, and how often each of its ids came.
        self.last: dict[str, float] = {}
        self.jobs: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._producer = AIOKafkaProducer(
            bootstrap_servers=stack.addresses.broker, acks="all", linger_ms=1
        )
        self._decode = msgspec.json.Decoder(Said).decode
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def worker(self) -> int:
        """The process id of the streams worker."""
        (pid,) = servers.pids(self.stack)["streams"]
        return int(pid)

    async def __aenter__(self) -> Cinema:
        await self._producer.start()
        self._tasks = [
            asyncio.create_task(self._read(topics.OUTBOX_URGENT, None)),
            asyncio.create_task(self._read(topics.OUTBOX, SENDER_GROUP)),
            asyncio.create_task(self._tick_again()),
        ]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._producer.stop()

    async def send(self, topic: Topic, values: Iterable[dict[str, Any]], key: str) -> None:
        """Send values, each by its key to where it belongs, and wait for all."""
        sent = []
        for value in values:
            name = value[key]
            data, partition = msgspec.json.encode(value), self._home(name)
            sent.append(await self._producer.send(topic.name, data, name.encode(), partition))
        await asyncio.gather(*sent)

    async def tick(self, seconds: int = 1) -> None:
        """Let it be so much later in every partition."""
        self.now += timedelta(seconds=seconds)
        data = msgspec.json.encode({"at": self.now})
        for partition in range(self.stack.settings.partitions):
            await self._producer.send_and_wait(topics.CLOCK.name, data, partition=partition)

    async def _tick_again(self) -> None:
        """Tick once a second, as a clock does: what waits is looked at again."""
        while True:
            await self.tick(0)
            await asyncio.sleep(1)

    async def announce(self, name: str, audience: object = "all", seconds: int = 1) -> None:
        """Announce a campaign that is due in so many seconds of the clock."""
        value = {
            "campaign_id": name,
            "kind": "tip",
            "at": self.now + timedelta(seconds=seconds),
            "audience": audience,
        }
        await self.send(topics.CAMPAIGNS, [value], "campaign_id")

    async def register(self, user: str) -> float:
        """Let someone register; return the seconds until their job lies on the urgent lane."""
        event = {
            "event": "send_greeting",
            "user_id": user,
            "email": f"{user}@example.com",
            "username": "Ann",
        }
        started = perf_counter()
        await self.send(topics.REGISTRATION, [event], "user_id")
        await until(lambda: user in self.urgent, f"a job for the registration of {user}")
        return self.urgent[user] - started

    async def settled(self) -> None:
        """Wait until all that was sent is processed, and what was sent on with it."""
        addresses = self.stack.addresses
        async with aiohttp.ClientSession() as http:
            deadline, quiet = perf_counter() + LIMIT, 0
            while quiet < QUIET:
                ends: Counter[str] = Counter()
                for tp, end in (await end_offsets(addresses.broker, *SENT)).items():
                    ends[tp.topic] += end
                found = await gauges.read(http, addresses.streams)
                rests = all(found.total(POSITION, topic=one) == ends[one] for one in SENT)
                quiet = quiet + 1 if rests and not found.total(BUSY) else 0
                if perf_counter() > deadline:
                    raise StackError(f"what was sent is not processed in {LIMIT:.0f} s")
                await asyncio.sleep(SETTLE)

    def _home(self, name: str) -> int:
        return partition_of(name, self.stack.settings.partitions)

    async def _read(self, topic: Topic, group: str | None) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.stack.addresses.broker,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            consumer.assign(
                [TopicPartition(topic.name, n) for n in range(self.stack.settings.partitions)]
            )
            while True:
                polled = await consumer.getmany(timeout_ms=1000)
                now = perf_counter()
                for records in polled.values():
                    for record in records:
                        self._note(self._decode(record.value), now)
                if group is not None and polled:
                    await consumer.commit()
        finally:
            await consumer.stop()

    def _note(self, job: Said, now: float) -> None:
        campaign = job.context.get("campaign_id")
        if campaign is None:
            self.urgent.setdefault(job.user_id, now)
            return
        if not job.user_id.startswith(PEOPLE):
            # Those who registered for the measurement.
            return
        jobs = self.jobs[campaign]
        jobs[job.job_id] += 1
        if jobs[job.job_id] == 1:
            self.last[campaign] = now


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; raises StackError after LIMIT."""
    deadline = perf_counter() + LIMIT
    while not condition():
        if perf_counter() > deadline:
            raise StackError(f"{what}: not within {LIMIT:.0f} s")
        await asyncio.sleep(POLL)
