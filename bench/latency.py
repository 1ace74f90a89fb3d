"""From a registration on its topic to the mail in a mailbox, one at a time, on an idle stack.

From the producer's call to the end of the mail's data at an SMTP server of this process; what the
producer's own acknowledgement takes is in it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from bench import servers
from bench.figures import Figure, figure, percentile
from dev.errors import StackError
from dev.mailbox import smtp
from dev.mailbox.store import Mail, Mailbox
from dev.ports import HOST, free_port
from dev.stack import Stack
from streams import topics
from streams.partitions import partition_of

SAMPLES: Final = 100
# First of each partition: connections are opened, templates are met for the first time.
WARM: Final = 16
# A pause of up to so long between two, that they fall anywhere between two clock ticks.
PAUSE: Final = 0.1
LIMIT: Final = 30.0
SEED: Final = 20261122


class Watched(Mailbox):
    """A mailbox that says when a mail for an address has come."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[str, asyncio.Future[float]] = {}

    def add(self, content: bytes, sender: str, recipients: Sequence[str]) -> Mail:
        now = time.perf_counter()
        for recipient in recipients:
            if future := self.waiting.pop(recipient, None):
                future.set_result(now)
        return super().add(content, sender, recipients)


def run() -> Iterator[Figure]:
    """Measure on each broker there is, and yield the median and the 99th percentile."""
    for kind in asyncio.run(servers.brokers("latency")):
        taken = asyncio.run(_measure(kind))
        for name, percent in (("p50", 50), ("p99", 99)):
            label = f"event to mailbox on {kind}, {name} of {len(taken)}"
            yield figure(label, "ms", 1000 * percentile(taken, percent))


async def _measure(kind: str) -> list[float]:
    mailbox, port = Watched(), free_port()
    server = await smtp.serve(mailbox, HOST, port)
    try:
        async with servers.stack(kind, smtp=f"smtp://{HOST}:{port}?starttls=never") as stack:
            return await _registrations(stack, mailbox)
    finally:
        server.close()


async def _registrations(stack: Stack, mailbox: Watched) -> list[float]:
    pauses = random.Random(SEED)
    producer = AIOKafkaProducer(bootstrap_servers=stack.addresses.broker, acks="all")
    await producer.start()
    try:
        taken = []
        for number in range(WARM + SAMPLES):
            taken.append(
                await registration(producer, mailbox.waiting, number, stack.settings.partitions)
            )
            await asyncio.sleep(pauses.uniform(0, PAUSE))
        return taken[WARM:]
    finally:
        await producer.stop()


async def registration(
    producer: AIOKafkaProducer,
    waiting: dict[str, asyncio.Future[float]],
    number: int,
    partitions: int,
) -> float:
    """Register somebody; return the seconds until the mail's future was told that it has come."""
    user, email = f"user-{number}", f"user-{number}@example.com"
    event = {"event": "send_greeting", "user_id": user, "email": email, "username": "Ann"}
    arrived: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    waiting[email] = arrived
    started = time.perf_counter()
    await producer.send_and_wait(
        topics.REGISTRATION.name,
        msgspec.json.encode(event),
        user.encode(),
        partition_of(user, partitions),
    )
    try:
        return await asyncio.wait_for(arrived, LIMIT) - started
    except TimeoutError:
        raise StackError(f"no mail for registration {number} in {LIMIT} s") from None
