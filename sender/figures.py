"""What this process has sent and waits for: numbers that no Redis is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sender.lanes import Lane
from sender.ledger import Ledger
from sender.smtp.breaker import STATES
from sender.smtp.pool import Pool
from sender.waits import Waits


class Figures(Collector):
    """Jobs by outcome, waits, and the circuits of the mail servers."""

    def __init__(
        self, lanes: Mapping[str, Lane], pools: Mapping[str, Pool], ledger: Ledger, fold: Waits
    ) -> None:
        """Show those lanes and their pools; `fold` is what folding records into Redis waits for."""
        self._lanes = lanes
        self._pools = pools
        self._ledger = ledger
        self._fold = fold

    def describe(self) -> Iterator[Metric]:
        """Name nothing: whoever wants some of these gets all of them."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "cinema_lane_jobs", "Jobs of this process.", labels=["lane", "outcome"]
        )
        paused = GaugeMetricFamily("cinema_lane_paused", "1 while a lane waits.", labels=["lane"])
        maybe = CounterMetricFamily(
            "cinema_maybe_sent_twice", "Sent again, or to be: nobody knew.", labels=["lane"]
        )
        for name, lane in self._lanes.items():
            for outcome, number in lane.counts.items():
                jobs.add_metric([name, outcome], number)
            paused.add_metric([name], lane.waits.reason is not None)
            maybe.add_metric([name], lane.maybe_sent)
        circuit = GaugeMetricFamily(
            "cinema_smtp_circuit",
            "1 for the state that the circuit of a mail server is in.",
            labels=["lane", "server", "state"],
        )
        for name, pool in self._pools.items():
            for server in pool.servers:
                for state in STATES:
                    circuit.add_metric([name, server.address, state], server.breaker.state == state)
        yield from (jobs, paused, maybe, circuit)
        yield GaugeMetricFamily(
            "cinema_in_hand", "Jobs claimed and not settled.", self._ledger.in_hand
        )
        yield GaugeMetricFamily(
            "cinema_fold_paused",
            "1 while deliveries wait to be folded into Redis.",
            self._fold.reason is not None,
        )
