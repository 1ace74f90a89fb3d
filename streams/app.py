"""The streams worker: `faust -A streams.app worker`. Nothing happens at import."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from agents import AGENTS
from streams import topics
from streams.breaker import TopicBreaker
from streams.catalogue import Catalogue
from streams.clock import Ticker
from streams.deciding import Deciding
from streams.delivery_log import DeliveryLog
from streams.errors import SettingsError
from streams.faust_app import CinemaApp
from streams.lag import BulkLag
from streams.limits import Limits
from streams.lookups import Lookups
from streams.metrics import Metrics, Row
from streams.people import People
from streams.probes import silent
from streams.processing import Processing
from streams.progress import BUSY, POSITION, Progress
from streams.records import Output
from streams.revocations import Revocations
from streams.roll import SENDER, STREAMS, Roll
from streams.serving import connect
from streams.settings import Settings
from streams.state import State
from streams.waking import Waker
from streams.web import BODY_LIMIT, Site, mount
from tables.films import Films

APP: Final = "cinema-streams"
# What the intake waits for an answer of the broker (CONTRACT, "HTTP").
INTAKE_TIMEOUT: Final = 5.0

logger = logging.getLogger(__name__)


class StreamsApp(CinemaApp):
    """Events in, decisions out; one changelog; the pages that look into the tables."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            APP,
            settings,
            settings.streams_port,
            web_application_options={"client_max_size": BODY_LIMIT},
            table_standby_replicas=settings.standby_replicas,
        )
        self.films = Films()
        self.partition_tables = State(
            self,
            films=self.films,
            partitions=settings.partitions,
            default_timezone=settings.default_timezone,
        )
        self.tables.add(self.partition_tables)
        self.own_topics = (self.partition_tables.topic,)
        self.bulk_lag = BulkLag(self.batches, self.outgoing)
        self.breaker = TopicBreaker(
            settings.errors_in_a_row, lambda topic: self.batch_consumer.stopped.add(topic)
        )
        self.catalogue = Catalogue(self.batches, settings, self.films)
        self.deciding = Deciding(
            settings,
            AGENTS,
            self.partition_tables,
            self.outgoing,
            self.bulk_lag.of,
            self.breaker,
            films=self.catalogue.complete,
        )
        self.processing = Processing(
            self, lambda batch: batch.tp.partition, self.deciding.process, self.deciding.step
        )
        for agent in AGENTS:
            self.take(agent.topic, self.processing.accept)
        self.take(topics.CLOCK, self.processing.accept)
        self.redis = connect(settings.redis)
        self.delivery_log = DeliveryLog(self.redis)
        self.lookups = Lookups(self, self.partition_tables)
        self.people = People(self, self.partition_tables, self.catalogue.complete)
        self.roll = Roll(self.redis, STREAMS, str(self.conf.canonical_url))
        self.metrics = Metrics(self.rows)
        self.metrics.show(Progress(lambda: self.batch_consumer), (POSITION, BUSY))
        mount(self.pages, self._site())

    async def on_started(self) -> None:
        """Start what stands beside the streams once the tables are there."""
        await super().on_started()
        await self.add_runtime_dependency(self.catalogue)
        await self.add_runtime_dependency(self.bulk_lag)
        await self.add_runtime_dependency(self.roll)
        await self.add_runtime_dependency(
            Ticker(self, self.outgoing)
            if self.cinema.clock == "wall"
            else Waker(self.processing.wake, lambda: self.partition_tables.partitions_held)
        )

    async def on_stop(self) -> None:
        """End the tasks and let Redis go."""
        await super().on_stop()
        await self.processing.stop()
        await self.redis.aclose()

    def _site(self) -> Site:
        return Site(
            settings=self.cinema,
            metrics=self.metrics,
            produce=self.produce,
            statistics=self.people.statistics,
            preferences=self.people.preferences,
            preview=self.people.preview,
            owner_url=self.people.owner_url,
            deliveries=self.delivery_log.latest,
            statuses=self.delivery_log.counts,
            campaigns=self.lookups.campaigns,
            peers=self.peers,
            revocations=Revocations(self.redis),
            limits=Limits(self.redis),
            senders=lambda: self.roll.urls(SENDER),
            waiting=self.waiting,
        )

    # -- what the pages ask

    async def produce(self, outputs: Sequence[Output]) -> list[tuple[int, int]]:
        """Send what the intake was given."""
        return await self.outgoing.try_to_send(outputs, INTAKE_TIMEOUT)

    async def waiting(self) -> list[str]:
        """Return what this worker still waits for, in words."""
        found = list(self.breaker.open.values())
        if not self.recovered():
            found.append("tables: being recovered, or partitions being moved")
        elif not self.owned(topics.USERS) and not self.unassigned:
            found.append("tables: no partition has been assigned yet")
        if self.catalogue.lag is None:
            found.append("films: not read yet")
        elif self.catalogue.lag > 0:
            found.append(f"films: {self.catalogue.lag} records still to read")
        return found + await silent(self.cinema, self.redis)

    async def rows(self) -> Iterable[Row]:
        """Return the partitions' books, lags and the rest for /metrics."""
        rows = [
            *self.log_rows(),
            Row("undercut", {}, self.partition_tables.undercut, "Rows saved from paused owners."),
            Row("topics_stopped", {}, len(self.breaker.open), "Topics that stand still (errors)."),
            Row("films", {}, len(self.films), "Films in the catalogue."),
            Row("films_lag", {}, self.catalogue.lag or 0, "Film records still to read."),
        ]
        for partition in self.owned(topics.USERS):
            rows.extend(self.lookups.book(partition))
        return rows


def create_app(settings: Settings) -> StreamsApp:
    """Return the streams app; a test builds its own."""
    return StreamsApp(settings)


def __getattr__(name: str) -> Any:
    """Give `faust -A streams.app` its app."""
    if name != "app":
        raise AttributeError(name)
    try:
        return create_app(Settings.from_env())
    except SettingsError as error:
        raise SystemExit(f"streams.app does not start: {error}") from None
