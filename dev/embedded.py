"""The Faust transport for `embedded://host:port`: what the embedded broker needs done otherwise.

Three things (Tansu 0.6.0): it answers where a partition ends with an offset that is too low, so
that tables would come back with rows missing; a fetch that waits does not see what is produced
meanwhile; there are no idempotent producers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types.tuples import TP

from streams import transport
from streams.logs import high_watermarks

# Milliseconds that a fetch waits at the broker: the delay of a record that comes while it waits.
# Short while records come, since those just sent lead to others; else longer: a fetch of a hundred
# partitions costs the broker 5 ms.
EAGER_WAIT: Final = 20
PATIENT_WAIT: Final = 100
# Seconds after the last record until a fetch waits longer: a fraction of a clock tick's second.
EAGER_FOR: Final = 0.1


class ConsumerThread(transport.ConsumerThread):
    """Asks where partitions end by fetching, and fetches with short waits."""

    _patience: asyncio.TimerHandle | None = None

    def _create_consumer(self, loop: Any) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        # Faust fixes 1500 ms; the fetcher takes over this value when the consumer starts.
        consumer._fetch_max_wait_ms = PATIENT_WAIT
        return consumer

    async def _highwaters(self, partitions: Iterable[TP]) -> Mapping[TP, int]:
        ends = await high_watermarks(self._ensure_consumer(), partitions)
        return {TP(tp.topic, tp.partition): offset for tp, offset in ends.items()}

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Any:
        fetched = await super()._fetch_records(consumer, *args, **options)
        if fetched:
            fetcher = consumer._fetcher
            fetcher._fetch_max_wait_ms = EAGER_WAIT
            if self._patience is not None:
                self._patience.cancel()
            self._patience = asyncio.get_running_loop().call_later(
                EAGER_FOR, setattr, fetcher, "_fetch_max_wait_ms", PATIENT_WAIT
            )
        return fetched


class Consumer(transport.Consumer):
    """A consumer for the embedded broker."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class Producer(transport.Producer):
    """A producer without idempotence, which the embedded broker refuses."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {**super()._settings_extra(), "enable_idempotence": False}


class Transport(transport.Transport):
    """The transport of `embedded://` brokers."""

    Consumer = Consumer
    Producer = Producer

    def reader(self, group: str | None = None) -> AIOKafkaConsumer:
        """Return a consumer that does not wait long for what it would not be told of."""
        consumer = super().reader(group)
        consumer._fetch_max_wait_ms = PATIENT_WAIT
        return consumer

    async def end_offsets(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Ask by fetching."""
        return await high_watermarks(consumer, partitions)
