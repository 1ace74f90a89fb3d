"""The sender worker: `faust -A sender.app worker`. Nothing happens at import."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import ConsumerRecord

from sender.business_time import BusinessTime
from sender.channels import Channel, LogChannel
from sender.delivering import Delivering
from sender.email import EmailChannel
from sender.figures import Figures
from sender.inbox import Inbox
from sender.lanes import Lane
from sender.ledger import Ledger
from sender.links import ConfirmLinks, LinkMaker
from sender.refill import Refill
from sender.refilling import Filling, Refilling
from sender.render import Renderer
from sender.smtp.destinations import Destinations
from sender.smtp.pool import Pool
from sender.suppressions import Suppressions
from sender.web import SenderSite, mount
from sender.web.seats import Seats
from sender.websocket import WebsocketChannel
from streams import kinds, topics
from streams.declaring import bootstrap
from streams.delivery_log import DeliveryLog
from streams.errors import SettingsError
from streams.faust_app import CinemaApp
from streams.jobs import STATUSES
from streams.lag import SENDER_GROUP
from streams.limits import Limits
from streams.logs import Logs
from streams.metrics import Metrics, Row
from streams.probes import silent
from streams.processing import Done, Processing
from streams.progress import BUSY, POSITION, Progress
from streams.records import Output
from streams.revocations import Revocations
from streams.roll import SENDER, STREAMS, Roll
from streams.serving import connect
from streams.settings import Settings
from streams.transport import Batch

APP: Final = SENDER_GROUP
TOPIC_OF: Final = {kinds.URGENT: topics.OUTBOX_URGENT, kinds.BULK: topics.OUTBOX}
# New objects between two looks of Python's collector, which says 700: the jobs in hand are more
# than that, and reference counts alone free them.
COLLECTED: Final = 10_000
# Bytes of a partition that wait here while it is at work: as many again may be in each of its two
# batches. A larger record batch still comes, alone (KIP-74).
FETCHED: Final = 1 << 20
# What a page waits for an answer of the broker.
PAGE_TIMEOUT: Final = 5.0
# Seconds for which a worker that stops waits for answers of mail servers: with what follows it is
# down within the ten that supervisors give.
ANSWERS: Final = 8.0
# Seconds for Kafka and Redis to take what follows from the answers: milliseconds, where they are.
FOLLOWS: Final = 0.5

logger = logging.getLogger(__name__)


class SenderApp(CinemaApp):
    """Jobs in; mails, inbox entries and deliveries out; and the pages that people see."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(APP, settings, settings.sender_port, consumer_max_fetch_size=FETCHED)
        self.redis = connect(settings.redis)
        self.time = BusinessTime(settings)
        self.inbox = Inbox(self.redis)
        self.delivery_log = DeliveryLog(self.redis)
        self.suppressions = Suppressions(self.redis)
        self.revocations = Revocations(self.redis)
        self.links = LinkMaker(settings)
        self.confirm_links = ConfirmLinks(self.redis, settings)
        self.renderer = Renderer(settings)
        name = f"{socket.gethostname()}-{os.getpid()}"
        self.ledger = Ledger(self.redis, name, secrets.token_hex(4))
        # A pool for each lane: an urgent mail never waits for a bulk one's connection.
        self.pools = {lane: Pool.from_settings(settings) for lane in settings.lanes}
        self.destinations = Destinations(settings.domain_limits)
        filling = Filling(
            self.redis,
            Refill(self.redis, settings, self.ledger),
            lambda: Logs(bootstrap(settings)),
        )
        self.refilling = Refilling(filling, self.ledger.owner)
        self.lanes = {lane: self._lane(lane, settings) for lane in settings.lanes}
        self.delivering = Delivering(
            self.outgoing,
            self.delivery_log,
            self.suppressions,
            self.revocations,
            self.time,
            self._halted,
        )
        self.processing = Processing(self, lambda batch: batch.tp, self._process)
        for lane in settings.lanes:
            self.take(TOPIC_OF[lane], self.processing.accept)
        folds = {
            topics.DELIVERIES: self.delivering.fold_deliveries,
            topics.SUPPRESSIONS: self.delivering.fold_suppressions,
            topics.REVOCATIONS: self.delivering.fold_revocations,
        }
        self._folds = {topic.name: fold for topic, fold in folds.items()}
        for topic in folds:
            self.take(topic, self.processing.accept)
        if self.time.follows_topic:
            self.take(topics.CLOCK, self.processing.accept)
        self.roll = Roll(self.redis, SENDER, str(self.conf.canonical_url))
        self.metrics = Metrics(self.rows)
        self.metrics.show(Progress(lambda: self.batch_consumer), (POSITION, BUSY))
        self.metrics.show(Figures(self.lanes, self.pools, self.ledger, self.delivering.waits), ())
        mount(self.pages, self._site())

    def _lane(self, name: str, settings: Settings) -> Lane:
        channels: list[Channel] = [
            EmailChannel(
                settings,
                self.renderer,
                self.links,
                self.confirm_links,
                self.suppressions,
                self.pools[name],
                self.destinations,
                name,
            ),
            WebsocketChannel(self.renderer, self.inbox),
            LogChannel(),
        ]
        self._channels = [*getattr(self, "_channels", []), *channels]
        stores = (self.inbox, self.delivery_log, self.confirm_links)
        return Lane(name, channels, self.ledger, stores, settings)

    async def _process(self, batch: Batch, records: Sequence[ConsumerRecord]) -> Done:
        topic = batch.tp.topic
        if topic == topics.CLOCK.name:
            return await self.time.process(batch, records)
        if not await self.refilling.full(lambda: self._halted(batch)):
            return Done(records[0].offset)
        if (fold := self._folds.get(topic)) is not None:
            return await fold(batch, records)
        lane = next(name for name, found in TOPIC_OF.items() if found.name == topic)
        return await self.delivering.deliver(self.lanes[lane], batch, records)

    def _halted(self, batch: Batch) -> bool:
        return bool(
            self.should_stop
            or not self.batch_consumer.flow_active
            or batch.generation != self.consumer_generation_id
        )

    async def on_start(self) -> None:
        """Open the channels before the first job."""
        await super().on_start()
        await self.ledger.start()
        for channel in self._channels:
            await channel.start()

    async def on_started(self) -> None:
        """Look after Redis once the topics are there."""
        await super().on_started()
        # What is there by now stays, and need not be looked through again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECTED)
        await self.add_runtime_dependency(self.refilling)
        await self.add_runtime_dependency(self.roll)

    async def on_stop(self) -> None:
        """Close in good order: mails, tasks, channels, claims, Redis.

        No batch begins another mail once the app stops. What a mail server has not answered in
        time is noted as maybe sent, what was not begun is given back.
        """
        await self._ended(ANSWERS)
        for pool in self.pools.values():
            pool.let_go()
        await self._ended(FOLLOWS)
        await self.processing.stop()
        await super().on_stop()
        for channel in self._channels:
            await channel.stop()
        await self.ledger.stop()
        await self.redis.aclose()

    async def _ended(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.batch_consumer.idle.wait(), seconds)

    def _site(self) -> SenderSite:
        return SenderSite(
            settings=self.cinema,
            metrics=self.metrics,
            produce=self.produce,
            inbox=self.inbox,
            seats=Seats(self.redis),
            links=self.links,
            confirm_links=self.confirm_links,
            revocations=self.revocations,
            limits=Limits(self.redis),
            now=self.time.now,
            renderer=self.renderer,
            streams=lambda: self.roll.urls(STREAMS),
            waiting=self.waiting,
            paused=self.paused,
        )

    # -- what the pages ask

    async def produce(self, outputs: Sequence[Output]) -> list[tuple[int, int]]:
        """Send what a page was given."""
        return await self.outgoing.try_to_send(outputs, PAGE_TIMEOUT)

    async def waiting(self) -> list[str]:
        """Return what this worker still waits for, in words."""
        found = []
        if not self.recovered():
            found.append("partitions: being assigned or moved")
        if self.refilling.waits_for is not None:
            found.append(f"redis: {self.refilling.waits_for}")
        return found + await silent(self.cinema, self.redis)

    def paused(self) -> list[str]:
        """Return the lanes that wait, and for what."""
        reasons = {name: lane.waits.reason for name, lane in self.lanes.items()}
        return [f"lane {name}: {reason}" for name, reason in reasons.items() if reason]

    async def rows(self) -> Iterable[Row]:
        """Return outcomes, lags and the rest for /metrics."""
        rows = [*self.log_rows()]
        counts = await self.delivery_log.counts()
        for kind in kinds.KINDS:
            for status in STATUSES:
                labels = {"kind": kind, "status": status}
                number = counts.get(kind, {}).get(status, 0)
                rows.append(Row("deliveries", labels, number, "Job ids by their latest status."))
        return rows


def create_app(settings: Settings) -> SenderApp:
    """Return the sender app; a test builds its own."""
    return SenderApp(settings)


def __getattr__(name: str) -> Any:
    """Give `faust -A sender.app` its app."""
    if name != "app":
        raise AttributeError(name)
    try:
        return create_app(Settings.from_env())
    except SettingsError as error:
        raise SystemExit(f"sender.app does not start: {error}") from None
