"""The numbers of one worker for Prometheus: a registry of its own, nothing global."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import tzdata
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from streams.errors import Retryable

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: The row that says whether the others could be read.
MISSING: Final = "rows_missing"
# Less than a scrape's patience: a Redis that hangs must not keep the worker's own numbers back.
ROWS_WITHIN: Final = 2.0
# From a lookup in memory to the 5 s after which the intake gives up.
BUCKETS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Row(NamedTuple):
    """One value that somebody else keeps: a row of `counts`, a lag, a status from Redis.

    `name` is without the prefix; rows of one name have the same labels and help.
    """

    name: str
    labels: Mapping[str, str]
    value: float
    help: str = ""


Rows = Callable[[], Awaitable[Iterable[Row]]]


class _Given(Collector):
    """Shows the rows of the scrape at hand as gauges."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for row in self.rows:
            name = f"cinema_{row.name}"
            if name not in families:
                families[name] = GaugeMetricFamily(name, row.help or row.name, labels=[*row.labels])
            families[name].add_metric(list(row.labels.values()), row.value)
        yield from families.values()


class _Only(Collector):
    """Shows the metrics of some names; the registry's own restriction knows no rows."""

    def __init__(self, registry: CollectorRegistry, names: Collection[str]) -> None:
        self._registry, self._names = registry, names

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            if metric.name in self._names or f"{metric.name}_total" in self._names:
                yield metric


class Metrics:
    """What one worker measures; handlers and lanes count here, `rows` are asked at each scrape."""

    def __init__(self, rows: Rows | None = None) -> None:
        """Make an empty registry."""
        self.registry = CollectorRegistry()
        self._rows = rows
        self._given = _Given()
        self._apart: set[str] = set()
        self.registry.register(self._given)
        ProcessCollector(namespace="cinema", registry=self.registry)
        rules = self.gauge("tzdata_info", "Whose rules time zones follow.", "version")
        rules.labels(tzdata.IANA_VERSION).set(1)
        self.requests = self.counter("http_requests", "Answers.", "route", "status")
        self.request_seconds = self.histogram("http_seconds", "From request to answer.", "route")

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Add a counter `cinema_<name>_total`."""
        return Counter(f"cinema_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Add a gauge `cinema_<name>`."""
        return Gauge(f"cinema_{name}", text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        """Add a histogram `cinema_<name>`, in seconds."""
        return Histogram(f"cinema_{name}", text, labels, registry=self.registry, buckets=BUCKETS)

    def show(self, collector: Collector, names: Collection[str]) -> None:
        """Show what a collector counts; a scrape of those names alone asks for no rows."""
        self.registry.register(collector)
        self._apart.update(names)

    async def rows(self) -> list[Row]:
        """Return what others keep, and whether it could be read."""
        rows: list[Row] = []
        missing = 0
        try:
            async with asyncio.timeout(ROWS_WITHIN):
                rows.extend(await self._rows() if self._rows is not None else ())
        except (Retryable, TimeoutError):
            # With Redis away the worker's own numbers are wanted most.
            missing = 1
        rows.append(Row(MISSING, {}, missing, "1 when the shared numbers are out of reach."))
        return rows

    async def render(self, names: Collection[str] = ()) -> bytes:
        """Return all of it in Prometheus' text format, or the metrics of those names alone."""
        if names and self._apart.issuperset(names):
            return bytes(generate_latest(self.registry.restricted_registry(names)))
        # Assigned after the wait: two scrapes at once each show one whole reading.
        self._given.rows = await self.rows()
        return bytes(generate_latest(_Only(self.registry, names) if names else self.registry))
