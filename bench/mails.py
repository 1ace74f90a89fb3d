"""Mails a second: jobs on the outbox, rendered or joined, and taken by a mail server.

From the jobs' production to the last of their deliveries that Kafka has acknowledged: ledger,
rendering, SMTP, deliveries and their folding into Redis, by one sender worker and by two. In turn
with Postfix's smtp-source, which sends one prepared mail of the same kind to the same sink.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import servers
from bench.figures import Figure, of_rounds
from bench.letters import Make, mail_of, reminder, tip
from bench.processes import cpu_seconds
from bench.sinks import blast, program, sink
from dev.errors import StackError
from dev.stack import Stack
from streams import jobs, topics
from streams.jobs import Job
from streams.logs import high_watermarks
from streams.partitions import partition_of
from streams.settings import Settings

ROUNDS: Final = 5
#: What is sent, and how many of it in a round: a second or more of the sender's time.
LETTERS: Final[dict[str, tuple[Make, int]]] = {
    "reminders, each rendered": (reminder, 1_500),
    "a campaign's tips, joined": (tip, 4_000),
}
# The sender's speed, several times over: as long a round needs more mails.
BLASTED: Final = 8_000
UNACKNOWLEDGED: Final = 500
POLL: Final = 0.02
LIMIT: Final = 120.0
# Deliveries are folded into Redis after they are acknowledged; that work is the mail's too.
FOLDING: Final = 0.5

Rounds = defaultdict[str, list[float]]


def run() -> Iterator[Figure]:
    """Measure, and yield mails a second and CPU a mail."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    kind = (await servers.brokers("mails"))[0]
    rates, micros, limits, pairs = (Rounds(list) for _ in range(4))
    sizes: dict[str, float] = {}
    async with sink() as (name, address):
        smtp = f"smtp://{address}?starttls=never"
        source = program("smtp-source") if name == "smtp-sink" else None
        async with servers.stack(kind, streams=0, smtp=smtp) as stack:
            for letters, (make, count) in LETTERS.items():
                # Templates' first use, connections, and whatever else happens once.
                await _round(stack, make, "warm", count // 5)
                mail = mail_of(make(0, "sample"), stack.settings)
                sizes[letters] = len(mail) / 1000
                for number in range(ROUNDS):
                    if source is not None:
                        limits[letters].append(await blast(source, address, mail, BLASTED))
                    rate, used = await _round(stack, make, str(number), count)
                    rates[letters].append(rate)
                    micros[letters].append(1e6 * used)
        async with servers.stack(kind, streams=0, sender=2, smtp=smtp) as stack:
            for letters, (make, count) in LETTERS.items():
                await _round(stack, make, "warm", count // 5)
                for number in range(ROUNDS):
                    rate, _ = await _round(stack, make, str(number), count)
                    pairs[letters].append(rate)
    figures = []
    for letters in LETTERS:
        label = f"{letters}, {sizes[letters]:.0f} kB, {kind} into {name}"
        limit = f"smtp-source -s 16 with such a mail ({letters})"
        if limits:
            figures.append(of_rounds(limit, "1/s", limits[letters]))
            figures.append(of_rounds(label, "1/s", rates[letters], limits[letters], limit))
        else:
            figures.append(of_rounds(label, "1/s", rates[letters]))
        figures.append(of_rounds(f"{label}, CPU a mail", "us", micros[letters]))
        two = f"{label}, two senders"
        figures.append(of_rounds(two, "1/s", pairs[letters], rates[letters], label))
    return figures


async def _round(stack: Stack, make: Make, name: str, count: int) -> tuple[float, float]:
    """Send jobs and wait for their deliveries; return mails a second and CPU seconds a mail."""
    settings, broker = stack.settings, stack.addresses.broker
    pids = servers.pids(stack)["sender"]
    made = [make(number, f"{make.__name__}-{name}-{number}") for number in range(count)]
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
    await consumer.start()
    try:
        before = await deliveries(consumer, settings)
        used, started = cpu_seconds(*pids), asyncio.get_running_loop().time()
        await put(broker, made, settings.partitions)
        while (done := await deliveries(consumer, settings) - before) < count:
            if asyncio.get_running_loop().time() - started > LIMIT:
                raise StackError(f"{done} of {count} mails were delivered in {LIMIT} s")
            await asyncio.sleep(POLL)
        seconds = asyncio.get_running_loop().time() - started
        await asyncio.sleep(FOLDING)
        return count / seconds, (cpu_seconds(*pids) - used) / count
    finally:
        await consumer.stop()


async def put(broker: str, made: Iterable[Job], partitions: int) -> None:
    """Put jobs on the outbox; some hundreds at a time are not acknowledged yet."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    try:
        sent: list[asyncio.Future[object]] = []
        for job in made:
            sent.append(
                await producer.send(
                    topics.OUTBOX.name,
                    jobs.encode(job),
                    job.user_id.encode(),
                    partition_of(job.user_id, partitions),
                )
            )
            if len(sent) == UNACKNOWLEDGED:
                await asyncio.gather(*sent)
                sent.clear()
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def deliveries(consumer: AIOKafkaConsumer, settings: Settings) -> int:
    """Return how many records `deliveries` holds."""
    name = topics.DELIVERIES.name
    tps = [TopicPartition(name, partition) for partition in range(settings.partitions)]
    return sum((await high_watermarks(consumer, tps)).values())
