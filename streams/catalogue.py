"""Reads the films: every worker the whole topic, without a group, as it goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from streams.settings import Settings
from streams.topics import DECODERS, FILMS
from streams.transport import Transport
from tables.films import Films

logger = logging.getLogger(__name__)

POLL_MS: Final = 500
PAUSE: Final = 1.0


class Catalogue(Service):
    """Keeps `films` in step with the topic; `lag` is the number of records still to read."""

    def __init__(self, transport: Transport, settings: Settings, films: Films, **options: Any):
        super().__init__(**options)
        self._transport = transport
        self._partitions = [
            TopicPartition(FILMS.name, number) for number in range(settings.partitions)
        ]
        self._films = films
        self._ends: dict[TopicPartition, int] | None = None
        self._positions: dict[TopicPartition, int] = {}
        #: Set once all films there were at the start are known.
        self.complete = asyncio.Event()

    @property
    def lag(self) -> int | None:
        """Records between what was read and the topic's end; None before the first look."""
        if self._ends is None:
            return None
        return sum(max(end - self._positions.get(tp, 0), 0) for tp, end in self._ends.items())

    @Service.task
    async def _read(self) -> None:
        while not self.should_stop:
            consumer = self._transport.reader()
            try:
                await consumer.start()
                consumer.assign(self._partitions)
                await consumer.seek_to_beginning(*self._partitions)
                await self._follow(consumer)
            except KafkaError as error:
                # What was read stays: the topic is read again from its beginning.
                logger.warning("reading %s again: %s", FILMS.name, error)
                await self.sleep(PAUSE)
            finally:
                await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while not self.should_stop:
            ends = await self._transport.end_offsets(consumer, self._partitions)
            for tp in self._partitions:
                self._positions[tp] = await consumer.position(tp)
            self._ends = dict(ends)
            behind = bool(self.lag)
            if not behind:
                self.complete.set()
            fetched = await consumer.getmany(timeout_ms=POLL_MS if not behind else POLL_MS // 10)
            for records in fetched.values():
                for record in records:
                    self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        at = record.timestamp / 1000
        try:
            if record.value is None:
                self._films.remove((record.key or b"").decode(), at)
            else:
                self._films.put(DECODERS[FILMS.name](record.value), at)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The agent of the topic makes it a dead letter; here it is only passed over.
            logger.debug("passed over %s/%s", record.partition, record.offset)
