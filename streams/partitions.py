"""Where a record lives: Kafka's own partitioner, the same for every producer that keeps it."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of that id: positive murmur2 of its UTF-8 bytes, as Kafka's clients."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions
