"""What the streams worker's handlers need of the rest of the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.limits import Limits
from streams.metrics import Metrics
from streams.records import Output
from streams.revocations import Revocations
from streams.settings import Settings
from streams.web.health import Waiting

#: Sends records in order and returns (partition, offset) of each once Kafka has acknowledged
#: them; raises BrokerUnavailable within 5 s.
Produce = Callable[[list[Output]], Awaitable[Sequence[tuple[int, int]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Settings, and callables that app.py gives.

    `statistics(user_id, month)` looks up this worker's tables: the contract's object; raises
    Recovering while they are not complete, NotKept for a month of long ago. So do
    `preferences(user_id)`, what holds for a person now, and `preview(user_id, template)`, with what
    a mail would be written. `owner_url(user_id)` is
    the base URL of the worker that has the user's partition, None where it is this one; raises
    Recovering while nobody has it. `deliveries` is what its address answers; `campaigns` what this
    worker's partitions know, and `peers` are the base URLs of the other workers, who know the rest;
    `senders` those of the senders. `statuses` counts jobs by kind and latest status.
    """

    settings: Settings
    metrics: Metrics
    produce: Produce
    statistics: Callable[[str, str | None], dict[str, Any]]
    preferences: Callable[[str], dict[str, Any]]
    preview: Callable[[str, str], dict[str, Any]]
    owner_url: Callable[[str], str | None]
    deliveries: Callable[[str], Awaitable[Sequence[Any]]]
    statuses: Callable[[], Awaitable[Mapping[str, Mapping[str, int]]]]
    campaigns: Callable[[], Awaitable[Sequence[Any]]]
    peers: Callable[[], Sequence[str]]
    revocations: Revocations
    limits: Limits
    senders: Callable[[], Awaitable[Sequence[str]]]
    waiting: Waiting
