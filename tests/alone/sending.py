"""Sender workers of a test's own, with a broker, a Redis and a mail server that plays a script."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from dev import services
from dev.logs import read_topic
from dev.services import EMBEDDED, Service
from streams.jobs import Job, encode
from streams.partitions import partition_of
from tests.conftest import eventually, running
from tests.sender.conftest import job_of
from tests.sender.smtpd import ScriptedServer, serving
from tests.worker import Worker

PARTITIONS = 4
MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^@>]+)", re.MULTILINE | re.IGNORECASE)


@dataclass
class Sending:
    """What senders need, and what came of it."""

    broker: str
    redis: Service
    smtpd: ScriptedServer
    data: Path
    producer: AIOKafkaProducer
    workers: list[Worker] = field(default_factory=list)

    async def worker(self, app: str = "sender.app", **settings: object) -> Worker:
        """Start another worker and wait until it is ready."""
        worker = Worker(
            app,
            self.data / f"worker-{len(self.workers)}",
            **self._settings | settings,
        )
        self.workers.append(worker)
        await worker.start()
        await worker.until_ready()
        return worker

    @property
    def _settings(self) -> dict[str, object]:
        return {
            "BROKER": self.broker,
            "REDIS": f"redis://{self.redis.address}/0",
            "SMTP": f"smtp://127.0.0.1:{self.smtpd.port}?starttls=never",
            "PARTITIONS": PARTITIONS,
        }

    async def load(self, topic: str, count: int, name: str = "user") -> list[Job]:
        """Put jobs on an outbox, each for another person."""
        jobs = [job_of(f"{topic}{name}{one}", user_id=f"{name}{one}") for one in range(count)]
        for job in jobs:
            partition = partition_of(job.user_id, PARTITIONS)
            await self.producer.send(topic, encode(job), job.user_id.encode(), partition)
        await self.producer.flush()
        return jobs

    def mails(self) -> Counter[str]:
        """Return how often each mail came, by its Message-ID's local part."""
        found: Counter[str] = Counter()
        for _, _, content in self.smtpd.mails:
            match = MESSAGE_ID.search(content)
            assert match is not None, content[:500]
            found[match[1].decode()] += 1
        return found

    async def records(self, topic: str) -> list[dict[str, Any]]:
        """Return what lies on a topic."""
        address = self.broker.partition("://")[2]
        return [msgspec.json.decode(one.value) for one in await read_topic(address, topic)]

    async def all_came(self, jobs: list[Job], limit: float = 60) -> Counter[str]:
        """Wait until there is a mail for each job; return how often each came."""

        async def came() -> bool:
            return len(self.mails()) >= len(jobs)

        await eventually(came, limit, 0.1)
        # What comes twice may come late.
        await asyncio.sleep(1)
        return self.mails()


@asynccontextmanager
async def senders(kind: str, data: Path) -> AsyncIterator[Sending]:
    """Give all that workers need; those that still run are killed at the end."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(running(await services.broker(kind, data)))
        redis = await stack.enter_async_context(running(services.redis(data, broker=kind)))
        smtpd = await stack.enter_async_context(serving(ScriptedServer()))
        producer = AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        stack.push_async_callback(producer.stop)
        scheme = "embedded" if kind == EMBEDDED else "kafka"
        sending = Sending(f"{scheme}://{broker.address}", redis, smtpd, data, producer)
        try:
            yield sending
        finally:
            for worker in sending.workers:
                await worker.kill()
