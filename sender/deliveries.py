"""What the sender does with the topic `deliveries`: fold it into Redis, batch by batch."""

from __future__ import annotations

from datetime import datetime

from streams.delivery_log import DeliveryLog
from streams.jobs import Delivery
from streams.records import Results


class Deliveries:
    """Folds the topic's records; the counts and lists in Redis follow the topic."""

    def __init__(self, log: DeliveryLog) -> None:
        """Fold into that log."""
        self._log = log

    async def handle(self, deliveries: list[Delivery], now: datetime) -> Results:
        """Fold a batch. Raises RedisUnavailable while Redis is away: call again with the same."""
        await self._log.fold(deliveries)
        return Results()
