"""The streams worker: `faust -A streams.app worker`. Nothing happens at import."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from agents import AGENTS
from agents.campaigns import campaigns, in_audience
from agents.statistics import month_report
from streams import topics
from streams.catalogue import Catalogue
from streams.clock import Ticker
from streams.cron import next_after
from streams.deciding import Deciding
from streams.decisions import Arrival
from streams.delivery_log import DeliveryLog
from streams.errors import Recovering, SettingsError
from streams.events import now_utc
from streams.faust_app import CinemaApp, answers
from streams.fields import zone
from streams.jobs import Cause
from streams.lag import BulkLag
from streams.metrics import Metrics, Row
from streams.partitions import partition_of
from streams.processing import Processing
from streams.progress import BUSY, POSITION, Progress
from streams.records import Output
from streams.serving import connect
from streams.settings import Settings
from streams.state import State
from streams.transport import Consumer
from streams.web import BODY_LIMIT, Site, mount
from tables.films import Films
from tables.watch_history import month_of

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
        self.deciding = Deciding(
            settings, AGENTS, self.partition_tables, self.outgoing, self.bulk_lag.of
        )
        self.processing = Processing(
            self, lambda batch: batch.tp.partition, self.deciding.process, self.deciding.step
        )
        for agent in AGENTS:
            self.take(agent.topic, self.processing.accept)
        self.take(topics.CLOCK, self.processing.accept)
        self.redis = connect(settings.redis)
        self.delivery_log = DeliveryLog(self.redis)
        self.catalogue = Catalogue(self.batches, settings, self.films)
        self.metrics = Metrics(self.rows)
        self.metrics.show(Progress(lambda: cast(Consumer, self.consumer)), (POSITION, BUSY))
        mount(self.pages, self._site())

    async def on_started(self) -> None:
        """Start what stands beside the streams once the tables are there."""
        await super().on_started()
        await self.add_runtime_dependency(self.catalogue)
        await self.add_runtime_dependency(self.bulk_lag)
        if self.cinema.clock == "wall":
            await self.add_runtime_dependency(Ticker(self, self.outgoing))

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
            statistics=self.statistics,
            owner_url=self.owner_url,
            deliveries=self.delivery_log.latest,
            campaigns=self.campaigns,
            peers=self.peers,
            waiting=self.waiting,
        )

    # -- what the pages ask

    async def produce(self, outputs: Sequence[Output]) -> list[tuple[int, int]]:
        """Send what the intake was given."""
        return await self.outgoing.try_to_send(outputs, INTAKE_TIMEOUT)

    def statistics(self, user_id: str, month: str | None) -> dict[str, Any]:
        """Return a person's month as the contract has it."""
        partition = partition_of(user_id, self.cinema.partitions)
        if not self.recovered() or partition not in self.owned(topics.USERS):
            raise Recovering(f"the tables of partition {partition} are not complete: ask again")
        tables = self.partition_tables.tables(partition)
        user = tables.users.of(user_id)
        default = self.cinema.default_timezone
        timezone = user.timezone(default)
        month = month or month_of(self._now(partition).astimezone(zone(timezone)))
        report = month_report(user, month, tables, default)
        return {
            "user_id": user_id,
            "month": month,
            "timezone": timezone,
            "films": report.films,
            "seconds": report.seconds,
            "genres": [genre._asdict() for genre in report.genres],
            "top_genre": report.top_genre,
            "reported": user.said("monthly_statistic", month),
            "late": user.late.get(month, 0),
        }

    def owner_url(self, user_id: str) -> str | None:
        """Return the worker that has the person's partition, None where it is this one."""
        partition = partition_of(user_id, self.cinema.partitions)
        if partition in self.owned(topics.USERS):
            return None
        url = self.owner(self.partition_tables.changelog, partition)
        if url is None or url == str(self.conf.canonical_url).rstrip("/"):
            raise Recovering(f"nobody has partition {partition} yet: ask again")
        return url

    def campaigns(self) -> list[dict[str, Any]]:
        """Return the campaigns with their next instants, as this worker's partitions know them."""
        found: dict[str, dict[str, Any]] = {}
        for partition in self.owned(topics.CAMPAIGNS):
            tables, now = self.partition_tables.tables(partition), self._now(partition)
            for name, campaign in campaigns(tables).items():
                entry = found.setdefault(
                    name,
                    {
                        "campaign_id": name,
                        "kind": campaign.kind,
                        "cron": campaign.cron,
                        "enabled": campaign.enabled,
                        "audience_now": 0,
                        "next": {},
                    },
                )
                arrival = self._looking(partition, now)
                for place, users in tables.users.by_zone.items():
                    if campaign.enabled and place not in entry["next"]:
                        following = next_after(campaign, zone(place), now)
                        if following is not None:
                            entry["next"][place] = _utc(following.instant)
                    entry["audience_now"] += (
                        len(users)
                        if campaign.audience == "all"
                        else sum(
                            in_audience(campaign.audience, row, tables, arrival, now)
                            for user_id in users
                            if (row := tables.users.get(user_id)) is not None
                        )
                    )
        return list(found.values())

    async def waiting(self) -> list[str]:
        """Return what this worker still waits for, in words."""
        found = []
        if not self.recovered():
            found.append("tables: being recovered, or partitions being moved")
        elif not self.owned(topics.USERS) and not self.unassigned:
            found.append("tables: no partition has been assigned yet")
        if self.catalogue.lag is None:
            found.append("films: not read yet")
        elif self.catalogue.lag > 0:
            found.append(f"films: {self.catalogue.lag} records still to read")
        if not await self.broker_answers():
            found.append(f"broker: {self.cinema.broker} does not answer")
        if not await answers(self.redis.ping):
            found.append("redis: does not answer")
        return found

    async def rows(self) -> Iterable[Row]:
        """Return the partitions' books, lags and the rest for /metrics."""
        consumer = self.consumer
        assert isinstance(consumer, Consumer)
        rows = [
            Row("refetched", {}, consumer.refetched, "Lost ranges that were fetched again."),
            Row("expired", {}, consumer.expired, "Records that retention took before us."),
            Row("undercut", {}, self.partition_tables.undercut, "Rows saved from paused owners."),
            Row("films", {}, len(self.films), "Films in the catalogue."),
            Row("films_lag", {}, self.catalogue.lag or 0, "Film records still to read."),
        ]
        for tp, lag in self.lag(consumer.processed).items():
            labels = {"topic": tp.topic, "partition": str(tp.partition)}
            rows.append(Row("lag", labels, lag, "Records not processed yet."))
        held = self.partition_tables.partitions_held
        for partition in self.owned(topics.USERS):
            if partition not in held:
                continue
            tables, label = held[partition], {"partition": str(partition)}
            book = tables.counts.book
            rows.append(Row("users", label, len(tables.users.known), "People with an address."))
            rows.append(Row("walks_open", label, len(tables.walks.open), "Walks under way."))
            rows.append(Row("deferred", label, len(tables.deferred.rows), "Jobs that rest."))
            rows.append(Row("clock", label, book.tick or 0, "The partition's time."))
            for topic, outcomes in book.records.items():
                for outcome, number in outcomes.items():
                    labels = {"topic": topic, "outcome": outcome, **label}
                    rows.append(Row("records", labels, number, "Records by how they ended."))
            for kind, number in book.jobs.items():
                rows.append(Row("job_ids", {"kind": kind, **label}, number, "Unique job ids."))
        return rows

    def _now(self, partition: int) -> datetime:
        tick = self.partition_tables.tables(partition).counts.book.tick
        return now_utc() if tick is None else datetime.fromtimestamp(tick, UTC)

    def _looking(self, partition: int, now: datetime) -> Arrival:
        cause = Cause("campaigns", partition, -1)
        return Arrival(
            cause=cause,
            at=now,
            now=now,
            identity="",
            partition=partition,
            settings=self.cinema,
        )


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
