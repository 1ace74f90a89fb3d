"""How far the sender is behind on the bulk lane, by partition: what walks wait for."""

from __future__ import annotations

import logging
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from streams.outgoing import Outgoing
from streams.topics import OUTBOX
from streams.transport import Transport

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0
SENDER_GROUP: Final = "cinema-sender"


class BulkLag(Service):
    """Asks once a second, while bulk jobs are on their way, what the sender has committed."""

    def __init__(self, transport: Transport, outgoing: Outgoing, **options: Any) -> None:
        super().__init__(**options)
        self._transport = transport
        self._outgoing = outgoing
        self._committed: dict[int, int] = {}

    def of(self, partition: int) -> int:
        """Return the number of bulk jobs of a partition that the sender has not finished.

        Only jobs that this worker has sent since it began are seen: one that takes a partition
        over starts from nothing, and walks wait from its own first jobs on.
        """
        last = self._outgoing.acknowledged.get((OUTBOX.name, partition))
        return 0 if last is None else last + 1 - self._committed.get(partition, 0)

    @Service.task
    async def _ask(self) -> None:
        consumer = self._transport.reader(SENDER_GROUP)
        try:
            await consumer.start()
            async for _ in self.itertimer(INTERVAL, name="lag"):
                await self._update(consumer)
        finally:
            await consumer.stop()

    async def _update(self, consumer: AIOKafkaConsumer) -> None:
        sent = [place for place in self._outgoing.acknowledged if place[0] == OUTBOX.name]
        waiting = [TopicPartition(*place) for place in sent if self.of(place[1])]
        try:
            for tp in waiting:
                self._committed[tp.partition] = await consumer.committed(tp) or 0
        except KafkaError as error:
            logger.warning("the sender's lag is not known: %s", error)
