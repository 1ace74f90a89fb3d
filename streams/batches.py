"""Consecutive records of one partition as one item of a Faust stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import faust
from aiokafka import ConsumerRecord
from faust.types.tuples import TP

# Enough to spread the cost of one hand-over (about 300 us) thin, and few enough that a batch is
# decided in milliseconds, so that a revoke or another topic of the partition never waits long.
MAX_BATCH: Final = 500


class Batch(NamedTuple):
    """Consecutive records of one partition, as one item of a stream.

    `start` is where the partition stood before the fetch, None if that is unknown; `epoch` counts
    the seeks back that had been made by then; `generation` is the consumer group's; `end` is where
    the partition stood after it, beyond the last record where the log has none (markers).
    """

    tp: TP
    records: Sequence[ConsumerRecord]
    start: int | None
    epoch: int
    generation: int
    end: int | None = None


class BatchSchema(faust.Schema[Any, Any]):
    """A schema that passes a batch through: decoding is the boundary's work."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> None:
        """Have no key: a batch holds many."""

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        """Return the batch as it is."""
        return message.value
