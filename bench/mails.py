"""Mails a second: weekly reminders on the outbox, rendered and taken by a mail server.

From the jobs' production to the last of their deliveries that Kafka has acknowledged: ledger,
rendering, SMTP, deliveries and their folding into Redis, by one sender worker. In turn with
Postfix's smtp-source, which sends one prepared mail of the same size to the same sink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import servers
from bench.figures import Figure, of_rounds
from bench.processes import cpu_seconds
from bench.sinks import blast, program, sink
from dev.errors import StackError
from dev.stack import Stack
from sender.links import LinkMaker
from sender.message import Mail, build
from sender.render import Renderer
from sender.samples import sample_job
from streams import jobs, topics
from streams.jobs import Job
from streams.logs import high_watermarks
from streams.partitions import partition_of
from streams.settings import LOCALES, Settings

ROUNDS: Final = 3
MAILS: Final = 1_500
# Several times as fast as the sender: as long a round needs more mails.
BLASTED: Final = 8_000
POLL: Final = 0.02
LIMIT: Final = 60.0
# Deliveries are folded into Redis after they are acknowledged; that work is the mail's too.
FOLDING: Final = 0.5


def run() -> Iterator[Figure]:
    """Measure, and yield mails a second and CPU a mail."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    kind = (await servers.brokers("mails"))[0]
    rates, micros, limits = [], [], []
    source = program("smtp-source")
    async with (
        sink() as (name, address),
        servers.stack(kind, streams=0, smtp=f"smtp://{address}?starttls=never") as stack,
    ):
        # Templates' first use, connections, and whatever else happens once.
        await _round(stack, "warm", MAILS // 5)
        mail = sample_mail(stack.settings)
        for number in range(ROUNDS):
            if source is not None and name == "smtp-sink":
                limits.append(await blast(source, address, mail, BLASTED))
            rate, used = await _round(stack, str(number), MAILS)
            rates.append(rate)
            micros.append(1e6 * used)
    label = f"sender on {kind}, mails of {len(mail) / 1000:.0f} kB into {name}"
    if not limits:
        return [of_rounds(label, "1/s", rates), of_rounds(f"{label}, CPU a mail", "us", micros)]
    limit = f"smtp-source -s 16 into {name}"
    return [
        of_rounds(limit, "1/s", limits),
        of_rounds(label, "1/s", rates, limits, limit),
        of_rounds(f"{label}, CPU a mail", "us", micros),
    ]


async def _round(stack: Stack, name: str, count: int) -> tuple[float, float]:
    """Send jobs and wait for their deliveries; return mails a second and CPU seconds a mail."""
    settings, broker = stack.settings, stack.addresses.broker
    (pid,) = servers.pids(stack)["sender"]
    made = [_job(f"{name}-{number}", LOCALES[number % len(LOCALES)]) for number in range(count)]
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await consumer.start()
    await producer.start()
    try:
        before = await _deliveries(consumer, settings)
        used, started = cpu_seconds(pid), asyncio.get_running_loop().time()
        sent = [
            await producer.send(
                topics.OUTBOX.name,
                jobs.encode(job),
                job.user_id.encode(),
                partition_of(job.user_id, settings.partitions),
            )
            for job in made
        ]
        await asyncio.gather(*sent)
        while (done := await _deliveries(consumer, settings) - before) < count:
            if asyncio.get_running_loop().time() - started > LIMIT:
                raise StackError(f"{done} of {count} mails were delivered in {LIMIT} s")
            await asyncio.sleep(POLL)
        seconds = asyncio.get_running_loop().time() - started
        await asyncio.sleep(FOLDING)
        return count / seconds, (cpu_seconds(pid) - used) / count
    finally:
        await producer.stop()
        await consumer.stop()


async def _deliveries(consumer: AIOKafkaConsumer, settings: Settings) -> int:
    """Return how many records `deliveries` holds."""
    name = topics.DELIVERIES.name
    tps = [TopicPartition(name, partition) for partition in range(settings.partitions)]
    return sum((await high_watermarks(consumer, tps)).values())


def _job(name: str, locale: str) -> Job:
    """Return a weekly reminder with ten films for a person of that name."""
    sample = sample_job("personal_selection", locale)
    now = datetime.now(UTC)
    return msgspec.structs.replace(
        sample,
        job_id=jobs.job_id("bench", sample.kind, name, sample.channel),
        user_id=name,
        to=f"{name}@example.com",
        created_at=now,
        expires_at=now + timedelta(hours=24),
    )


def sample_mail(settings: Settings) -> bytes:
    """Return the mail of one such job."""
    job = _job("sample", LOCALES[0])
    links = LinkMaker(settings).of(job)
    rendered = Renderer(settings).render(job, links)
    return build(Mail.of(job, rendered, links, settings.mail_from, job.created_at), eightbit=True)
