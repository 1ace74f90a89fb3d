"""Writes records as a cinema's many producers do: some badly placed, some without a key."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from dev.chaos.wants import Event, Refused, Skipped, Want
from streams.partitions import partition_of

# Of a hundred records with a key: so many lie in any partition, or come without the key.
MISPLACED: Final = 5
KEYLESS: Final = 3
# Kafka refuses records without a key there, and a wrong partition would hide the right one.
COMPACTED: Final = frozenset({"users", "films", "campaigns"})


class Writer:
    """Writes and numbers. `dice` decide the rest."""

    def __init__(self, dice: Random, partitions: int, now: datetime) -> None:
        self.dice = dice
        self.number = 0
        self._partitions = partitions
        self._ahead = (now + timedelta(days=9)).isoformat()

    def next(self) -> int:
        """Return a number that was not given before."""
        self.number += 1
        return self.number

    def write(self, topic: str, key: str | None, value: dict[str, Any], *wants: Want) -> Event:
        """Return a record; half of them have a name of their own."""
        event_id = None
        compacted = topic in ("users", "films", "campaigns")
        if self.dice.random() < 0.5 and not any(isinstance(want, Skipped) for want in wants):
            event_id = f"id-{self.next()}"
            value = {**value, "event_id": event_id}
        partition = None
        if key is None:
            partition = self.dice.randrange(self._partitions)
        elif not compacted:
            number = self.dice.random() * 100
            if number < MISPLACED + KEYLESS:
                partition = self.dice.randrange(self._partitions)
                key = None if number < KEYLESS else key
        if partition is None and key is not None:
            partition = partition_of(key, self._partitions)
        return Event(
            topic=topic,
            value=msgspec.json.encode(value),
            key=key,
            partition=partition,
            event_id=event_id,
            wants=wants,
        )

    def wrong(self, user_id: str) -> Event:
        """Return a record that cannot be used, in one of seven ways."""
        number = self.next()
        wrong: tuple[tuple[str, Any], ...] = (
            ("watch_history", b'{"user_id": "' + user_id.encode()),
            (
                "watch_history",
                {"user_id": user_id, "film_id": "f", "seconds": 1, "at": self._ahead},
            ),
            ("watch_history", {"user_id": user_id, "film_id": "f", "seconds": "long", "at": 1}),
            ("activity", {"user_id": user_id}),
            ("preferences", {"user_id": user_id, "timezone": "Mars/Olympus_Mons"}),
            ("letters", {"subject": "To nobody", "text": "n", "to": "no address"}),
            ("activity", {"user_id": user_id, "body": f"sent on already, wrongly: {number}"}),
        )
        kind = number % len(wrong)
        topic, value = wrong[kind]
        data = value if isinstance(value, bytes) else msgspec.json.encode(value)
        home = partition_of(user_id, self._partitions)
        event = Event(topic=topic, value=data, key=user_id, partition=home, wants=(Refused(),))
        if kind == len(wrong) - 1:
            origin = f"{topic}/0/{10**12 + number}".encode()
            elsewhere = (home + 1) % self._partitions
            event = replace(event, partition=elsewhere, headers=(("cinema-origin", origin),))
        return event
