"""How far a worker has come: by these numbers one sees from outside that all has been processed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.transport import Consumer

POSITION: Final = "cinema_position"
BUSY: Final = "cinema_busy"


class Progress(Collector):
    """Positions by topic, and what is in flight.

    A position is the sum over this worker's partitions, so that it costs a scrape a line a topic;
    it equals the sum of the partitions' ends when nothing is left.
    """

    def __init__(self, consumer: Callable[[], Consumer]) -> None:
        self._consumer = consumer

    def describe(self) -> Iterator[Metric]:
        """Name the gauges, so that a scrape can ask for them alone."""
        yield from _gauges()

    def collect(self) -> Iterator[Metric]:
        consumer = self._consumer()
        sums: Counter[str] = Counter()
        # What was committed and has moved to another worker since is that one's to show.
        mine = consumer.assignment()
        for tp, offset in consumer.processed.items():
            if tp in mine:
                sums[tp.topic] += offset
        position, busy = _gauges()
        for topic, offset in sums.items():
            position.add_metric([topic], offset)
        busy.add_metric([], consumer.in_flight)
        yield position
        yield busy


def _gauges() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(POSITION, "Next offsets to process, summed.", labels=["topic"]),
        GaugeMetricFamily(BUSY, "Batches and slices being processed now."),
    )
