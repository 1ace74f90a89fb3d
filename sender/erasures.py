"""Who was erased, and when: what is of before must not be put back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from aiokafka import ConsumerRecord

from streams.jobs import Delivery, Erase, InboxErased
from streams.records import timestamp

NEVER: Final = datetime.fromtimestamp(0, UTC)


class Erasure(NamedTuple):
    """When a person was erased: in business time, and when that was written."""

    at: datetime = NEVER
    written: datetime = NEVER


class Erasures:
    """The last erasure of each person, as `inbox` and `outbox_urgent` tell of them."""

    def __init__(self) -> None:
        self._of: dict[str, Erasure] = {}

    def __len__(self) -> int:
        """Return how many people were erased."""
        return len(self._of)

    def __iter__(self) -> Iterator[tuple[str, datetime]]:
        """Yield them, each with when."""
        return ((user_id, erasure.at) for user_id, erasure in self._of.items())

    def hear(self, record: ConsumerRecord, said: object) -> None:
        """Take in what a record of these topics says, if it is an erasure."""
        if isinstance(said, InboxErased):
            self._add((record.key or b"").decode(), said.erased, timestamp(record))
        elif isinstance(said, Erase):
            self._add(said.user_id, said.at, timestamp(record))

    def _add(self, user_id: str, at: datetime, written: datetime) -> None:
        known = self._of.get(user_id, Erasure())
        self._of[user_id] = Erasure(max(known.at, at), max(known.written, written))

    def cover(self, user_id: str, created_at: datetime) -> bool:
        """Tell whether what was made then is of before the erasure; the ledger's own rule."""
        return user_id in self._of and created_at <= self._of[user_id].at

    def cover_delivery(self, record: ConsumerRecord, delivery: Delivery) -> bool:
        """Tell whether a delivery was told of before the erasure, by either clock.

        It does not say when its job was made, and the sender's clock may be ahead of a partition's.
        """
        erasure = self._of.get(delivery.user_id)
        return erasure is not None and (
            delivery.at <= erasure.at or timestamp(record) <= erasure.written
        )
