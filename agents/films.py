"""The catalogue's records: checked here, read whole by every worker (streams/catalogue.py)."""

from __future__ import annotations

from collections.abc import Iterator

from streams import topics
from streams.decisions import Arrival, Decision, partition_agent
from streams.events import Film
from tables.partition import Tables


@partition_agent(topics.FILMS)
def check(
    event: Film | None, key: str | None, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Do nothing with a film that could be read: a wrong one is a dead letter by now."""
    yield from ()
