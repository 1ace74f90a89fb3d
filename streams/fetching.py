"""The thread that fetches, and what it knows: where each partition stood."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

# What a reader takes of transactions: none that are open or were aborted.
COMMITTED: Final = "read_committed"
# Seconds for which records that wait here hold up the next fetch from their broker. aiokafka's
# 0.1 s made every partition wait for one that was stuck (p99 of the others: 100 to 128 ms).
PREFETCH_BACKOFF: Final = 0.02
# Milliseconds that a fetch beside such records waits at the broker: until it is back, what they
# belong to cannot be fetched.
BESIDE_WAIT: Final = 20


class Fetched(dict[Any, Any]):
    """Records by partition, and where each partition stood before they were fetched and after."""

    def __init__(
        self, records: Any = (), start: Mapping[TP, int] = {}, end: Mapping[TP, int] = {}
    ) -> None:
        super().__init__(records)
        self.start = start
        self.end = end


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches; it alone may look at the positions between two fetches."""

    async def on_start(self) -> None:
        """Start the consumer, and keep what waits here from holding up what does not."""
        await super().on_start()
        fetcher: Any = self._ensure_consumer()._fetcher
        plan = fetcher._get_actions_per_node

        def plan_beside(assignment: Any) -> Any:
            patient = fetcher._fetch_max_wait_ms
            changelogs = self.consumer.app.tables.changelog_topics
            fetcher._fetch_max_wait_ms = patience(patient, fetcher._records, changelogs)
            try:
                return plan(assignment)
            finally:
                fetcher._fetch_max_wait_ms = patient

        fetcher._prefetch_backoff = PREFETCH_BACKOFF
        fetcher._get_actions_per_node = plan_beside

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        # Faust fixes it to read_uncommitted: an event of a transaction that was aborted never was.
        consumer._isolation_level = COMMITTED
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Fetched:
        start = _positions(consumer)
        records = await super()._fetch_records(consumer, *args, **options)
        return Fetched(records, start, _positions(consumer))


def patience(patient: int, waiting: Iterable[TP], changelogs: Collection[str]) -> int:
    """Return the milliseconds that a fetch may wait at the broker beside records that wait here.

    Rows of our own changelogs always do, from the first one that is written after a recovery: Faust
    asks for no more of them. A worker at rest would fetch fifty times a second for them.
    """
    held_up = any(tp.topic not in changelogs for tp in waiting)
    return min(patient, BESIDE_WAIT) if held_up else patient


def _positions(consumer: Any) -> dict[TP, int]:
    """Return where each partition stands; to be called in the consumer's thread."""
    positions: dict[TP, int] = {}
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is not None:
        for tp in assignment.tps:
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position:
                positions[TP(tp.topic, tp.partition)] = state.position
    return positions
