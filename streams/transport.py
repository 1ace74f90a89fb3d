"""A Kafka transport for Faust whose unit is the batch and whose commits follow what was processed.

Faust hands records over one by one and commits what was acknowledged; both lose records when a
worker is killed or partitions move (docs/architecture.md has the figures). Here one stream item is
up to `MAX_BATCH` consecutive records of one partition, and the offset that is committed is
`processed`, moved by the boundary alone (streams/processing.py).

`batches` is the unit, `fetching` the thread that reads, `following` the rule that loses nothing,
`committing` what is committed and when, `consumer` the loop that hands batches over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faust.transport.drivers import aiokafka as driver

from streams.batches import MAX_BATCH, Batch, BatchSchema
from streams.consumer import Consumer
from streams.fetching import COMMITTED, ConsumerThread

__all__ = [
    "MAX_BATCH",
    "SESSION",
    "Batch",
    "BatchSchema",
    "Consumer",
    "ConsumerThread",
    "Producer",
    "Transport",
]

# Seconds: noticed within six that a worker is gone; its heartbeats come once a second.
SESSION: Final = 6.0


class Producer(driver.Producer):
    """A producer whose retries cannot write a record twice or out of order (KIP-98).

    Each request is sent by a process that is alive: what was queued before a pause must not go out
    after it, when the partition has another owner.
    """

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        app: Any = self.app
        send, check = producer.client.send, app.heartbeat.check

        async def send_alive(*args: Any, **options: Any) -> Any:
            check()
            return await send(*args, **options)

        producer.client.send = send_alive
        return producer

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Faust's aiokafka transport with batches, and consumers beside the group."""

    Consumer = Consumer
    Producer = Producer

    def reader(self, group: str | None = None) -> AIOKafkaConsumer:
        """Return a consumer that joins no group, for a topic that every worker reads whole.

        With `group` it can be asked what that group has committed.
        """
        return AIOKafkaConsumer(
            bootstrap_servers=driver.server_list(self.url, self.default_port),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=COMMITTED,
        )

    async def read(self, topic: str, partition: int, offsets: range) -> list[ConsumerRecord]:
        """Return what lies at those offsets now; compaction may have taken some of it."""
        tp = TopicPartition(topic, partition)
        consumer = self.reader()
        found: list[ConsumerRecord] = []
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, offsets.start)
            while await consumer.position(tp) < offsets.stop:
                for records in (await consumer.getmany(tp, timeout_ms=1000)).values():
                    found += [record for record in records if record.offset in offsets]
        finally:
            await consumer.stop()
        return found

    async def end_offsets(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return the offset after the last record of each partition."""
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
