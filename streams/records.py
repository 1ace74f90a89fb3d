"""A record on its way out: what decisions, lanes and pages hand to the boundary to be sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.topics import Topic

Header = tuple[str, bytes]


class Output(NamedTuple):
    """One record to send. Without `partition` it goes where its key lives."""

    topic: Topic
    key: str | None
    value: bytes | None
    partition: int | None = None
    headers: Sequence[Header] = ()
    timestamp_ms: int | None = None


async def _nothing() -> None:
    """Leave nothing to settle."""


@dataclass(slots=True)
class Results:
    """What a batch led to: records to send, and what waits until Kafka has acknowledged them.

    `whole`: nothing of the batch is left to be done by whoever reads it again.
    """

    outputs: list[Output] = field(default_factory=list)
    settle: Callable[[], Awaitable[None]] = _nothing
    whole: bool = True
