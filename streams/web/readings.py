"""What all workers say of themselves just now: whether they are ready, and their numbers."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Final, NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics import Row
from streams.roll import SENDER, STREAMS
from streams.web.health import waits_for
from streams.web.peers import Peers
from streams.web.site import Site

# A rate is over the last minute: shorter ones jump, longer ones tell of what is over.
SPAN: Final = 60.0
# Less is no span to divide by.
SHORTEST: Final = 1.0


class Health(msgspec.Struct):
    """What `/health/ready` answers."""

    ready: bool
    waits_for: list[str] = []
    paused: list[str] = []


class Reading(NamedTuple):
    """One worker: `url` is None for the one that looks, `health` where it does not answer."""

    app: str
    url: str | None
    health: Health | None
    rows: Sequence[Row]


class Rates:
    """Turns totals into rates a second, between the looks of the last minute."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin without a look."""
        self._clock = clock
        self._looks: deque[tuple[float, Mapping[str, float]]] = deque()

    def take(self, totals: Mapping[str, float] | None) -> dict[str, float]:
        """Return the rates since the oldest look; none at the first, or where totals are missing.

        Totals that a silent worker is missing from would fall, and jump when it is back.
        """
        now = self._clock()
        while self._looks and self._looks[0][0] < now - SPAN:
            self._looks.popleft()
        if totals is None:
            self._looks.clear()
            return {}
        self._looks.append((now, totals))
        since, before = self._looks[0]
        if now - since < SHORTEST:
            return {}
        return {
            name: max(total - before.get(name, total), 0) / (now - since)
            for name, total in totals.items()
        }


async def read(site: Site, peers: Peers) -> list[Reading]:
    """Ask every worker of both apps, this one first."""
    others = [(STREAMS, url) for url in site.peers()]
    others += [(SENDER, url) for url in await site.senders()]
    asked = asyncio.gather(*(_ask(peers, app, url) for app, url in others))
    ours = asyncio.gather(site.metrics.rows(), waits_for(site.waiting))
    (rows, waits), replies = await asyncio.gather(ours, asked)
    return [Reading(STREAMS, None, Health(not waits, waits), rows), *replies]


async def _ask(peers: Peers, app: str, url: str) -> Reading:
    ready, metrics = await asyncio.gather(
        peers.look(url, "/health/ready"), peers.look(url, "/metrics")
    )
    try:
        health = msgspec.json.decode(ready.body, type=Health) if ready else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        health = None
    return Reading(app, url, health, list(parsed(metrics.body)) if metrics else [])


def parsed(body: bytes) -> Iterable[Row]:
    """Yield the samples of a page of metrics as rows."""
    for family in text_string_to_metric_families(body.decode(errors="replace")):
        for sample in family.samples:
            yield Row(sample.name.removeprefix("cinema_"), sample.labels, sample.value)


def summed(rows: Iterable[Row], name: str, label: str) -> dict[str, int]:
    """Return the rows of that name by one label, over all else that they differ in."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.name == name:
            found[row.labels[label]] += int(row.value)
    return dict(sorted(found.items()))


def total(rows: Iterable[Row], name: str, **labels: str) -> int:
    """Return the sum of the rows of that name that carry those labels."""
    return sum(
        int(row.value) for row in rows if row.name == name and labels.items() <= row.labels.items()
    )


def pivot(
    rows: Sequence[Row], name: str, down: str, across: str
) -> tuple[list[str], dict[str, list[int]]]:
    """Return the rows of that name as a table: its columns, and the numbers of each line."""
    cells: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.name == name:
            cells[row.labels[down], row.labels[across]] += int(row.value)
    columns = sorted({column for _, column in cells})
    lines = sorted({line for line, _ in cells})
    return columns, {line: [cells[line, column] for column in columns] for line in lines}
