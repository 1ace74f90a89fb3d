"""Sends events at a rate, with every acknowledgement waited for and written into the book."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from dev.chaos.book import Book
from dev.chaos.wants import Event

LOG: Final = "sent.jsonl"
# A broker that is started again is back long before: what is given up may be written or not.
PATIENCE_MS: Final = 180_000
# Seconds between two looks at how much is due.
STEP: Final = 0.02
# After an outage producers catch up, but do not send a minute's events in one second.
CATCH_UP: Final = 3.0
# Events on their way at once; more wait here, as they would in the cinema's other services.
ON_THE_WAY: Final = 20_000


class Feed:
    """Producers, seen from one end."""

    def __init__(self, bootstrap: str, book: Book, data: Path) -> None:
        self.sent = 0
        self._book = book
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=PATIENCE_MS,
            retry_backoff_ms=100,
            max_batch_size=1 << 20,
        )
        self._log = (data / LOG).open("ab")
        self._waiting: set[asyncio.Future[Any]] = set()

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Wait for what is on its way, and disconnect."""
        await self.settled()
        await self._producer.stop()
        self._log.close()

    async def send(self, events: Iterable[Event]) -> None:
        """Send events as fast as it goes, and wait until all are acknowledged."""
        for event in events:
            await self._send(event)
        await self.settled()

    async def pour(self, events: Iterator[Event], rate: float) -> None:
        """Send so many events a second until cancelled."""
        due, before = 0.0, monotonic()
        while True:
            await asyncio.sleep(STEP)
            now = monotonic()
            due = min(due + (now - before) * rate, CATCH_UP * rate)
            before = now
            number = min(int(due), int(CATCH_UP * rate * STEP) + 1)
            if len(self._waiting) > ON_THE_WAY:
                continue
            for event in islice(events, number):
                await self._send(event)
            due -= number

    async def settled(self) -> None:
        """Wait until everything sent so far is acknowledged or given up."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def _send(self, event: Event) -> None:
        self.sent += 1
        future = await self._producer.send(
            event.topic,
            event.value,
            None if event.key is None else event.key.encode(),
            partition=event.partition,
            headers=list(event.headers),
        )
        self._waiting.add(future)
        future.add_done_callback(lambda done: self._acknowledged(event, done))

    def _acknowledged(self, event: Event, future: asyncio.Future[Any]) -> None:
        self._waiting.discard(future)
        partition: int | None = None
        offset: int | None = None
        if not future.cancelled() and not isinstance(future.exception(), KafkaError):
            metadata = future.result()
            partition, offset = metadata.partition, metadata.offset
        if partition is None or offset is None:
            self._book.failed(event)
        else:
            self._book.acknowledged(event, partition, offset)
        line = (time(), event.topic, partition, offset, event.key, event.value.decode())
        self._log.write(msgspec.json.encode(line) + b"\n")
