"""What both Faust apps share: how they are set, declared and waited for."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import AsyncIterable, Callable, Iterator
from typing import Any, Final, cast

import faust
from aiohttp import web
from faust.types.tuples import TP

from streams.declaring import declare
from streams.heartbeat import Heartbeat
from streams.metrics import Row
from streams.outgoing import Outgoing, give_up
from streams.recovery import TableManager
from streams.settings import Settings
from streams.topics import OUTPUT_LIMIT, TOPICS, Topic
from streams.transport import SESSION, Batch, BatchSchema, Consumer, Transport

logger = logging.getLogger(__name__)

HEARTBEAT: Final = 1.0
# Longer than any batch: 30 s for the acknowledgements of each of its two waits, and some.
POLL_INTERVAL: Final = 120.0
# What is processed but not committed is read again after a kill: the shorter, the less.
COMMIT_INTERVAL: Final = 0.5
REQUEST_TIMEOUT: Final = 30.0
QUIET: Final = ("aiokafka", "faust", "mode", "aiohttp.access")
# Supervisors give ten seconds. Faust alone takes minutes where its broker does not answer.
DOWN_WITHIN: Final = 9.5
# Larger than all that can be outstanding at once: two batches a partition.
QUEUE: Final = 100_000


class Worker(faust.Worker):
    """Faust's worker, gone as soon as all has been closed, and in time for certain."""

    def _schedule_shutdown(self, signal: Any) -> None:
        if not self._signal_stop_time:
            # What is not committed by then is done again.
            late = f"not down {DOWN_WITHIN} s after it was told to stop"
            end = threading.Timer(DOWN_WITHIN, give_up, [late])
            end.daemon = True
            end.start()
        super()._schedule_shutdown(signal)

    async def _sentinel_task(self) -> None:
        """Wait for nothing: Faust sleeps for a second here."""

    def _shutdown_loop(self) -> None:
        super()._shutdown_loop()
        if self._signal_stop_time:
            # Taking the interpreter apart took a second, or two on a busy machine.
            logging.shutdown()
            os._exit(os.EX_OK)


class CinemaApp(faust.App):
    """A Faust app on the batch transport, with Faust's own pages off."""

    def __init__(self, name: str, settings: Settings, port: int, **options: Any) -> None:
        self.cinema = settings
        #: Topics beside those of the contract, declared with them.
        self.own_topics: tuple[Topic, ...] = ()
        host = settings.web_bind
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        super().__init__(
            name,
            broker=settings.broker,
            datadir=settings.data_dir,
            store="memory://",
            TableManager=TableManager,
            topic_partitions=settings.partitions,
            topic_replication_factor=settings.replication,
            topic_disable_leader=True,
            broker_session_timeout=SESSION,
            broker_heartbeat_interval=HEARTBEAT,
            broker_rebalance_timeout=SESSION,
            broker_max_poll_interval=POLL_INTERVAL,
            broker_max_poll_records=1000,
            broker_commit_interval=COMMIT_INTERVAL,
            broker_request_timeout=REQUEST_TIMEOUT,
            producer_acks=-1,
            producer_linger=0,
            producer_max_batch_size=OUTPUT_LIMIT,
            producer_max_request_size=2 * OUTPUT_LIMIT,
            producer_request_timeout=REQUEST_TIMEOUT,
            stream_buffer_maxsize=QUEUE,
            stream_wait_empty=True,
            web_host=host,
            web_port=port,
            web_bind=settings.web_bind,
            canonical_url=f"http://{host}:{port}",
            web_router_enabled=False,
            web_tables_enabled=False,
            web_stats_enabled=False,
            web_graph_enabled=False,
            worker_redirect_stdouts=False,
            Worker=Worker,
            **{"consumer_max_fetch_size": 2 * OUTPUT_LIMIT, "table_standby_replicas": 0, **options},
        )
        if settings.broker.startswith("kafka://"):
            self.transport = Transport(self.conf.broker, self)
        self.heartbeat = Heartbeat(give_up)
        self.outgoing = Outgoing(self, settings.partitions, alive=self.heartbeat.check)

    @property
    def batches(self) -> Transport:
        """The transport, as ours."""
        assert isinstance(self.transport, Transport)
        return self.transport

    @property
    def pages(self) -> web.Application:
        """The aiohttp application behind Faust's web server."""
        found: web.Application = cast(Any, self.web).web_app
        return found

    async def on_first_start(self) -> None:
        """Wait for the broker and declare the topics before anything is consumed."""
        for name in QUIET:
            # Faust sets the root logger to DEBUG for its spinner: a call that is not made is free.
            logging.getLogger(name).setLevel(logging.WARNING)
        await declare(self.cinema, self.conf.id, (*TOPICS.values(), *self.own_topics))
        # Faust makes the last folder of the path alone.
        self.conf.datadir.mkdir(parents=True, exist_ok=True)
        await super().on_first_start()
        self.heartbeat.start()

    async def on_stop(self) -> None:
        """Let the heart rest before what takes long."""
        self.heartbeat.stop()
        await super().on_stop()

    def take(self, topic: Topic, accept: Callable[[Batch], None]) -> None:
        """Make the Faust agent of a topic: it hands its batches over and goes on."""
        source = self.topic(
            topic.name, schema=BatchSchema(), partitions=self.cinema.partitions, allow_empty=True
        )

        async def hand_over(batches: AsyncIterable[Batch]) -> None:
            async for batch in batches:
                accept(batch)

        self.agent(source, name=f"{self.conf.id}.{topic.name}")(hand_over)

    def owned(self, topic: Topic) -> list[int]:
        """Return the partitions of a topic that this worker has."""
        return sorted(tp.partition for tp in self.consumer.assignment() if tp.topic == topic.name)

    def recovered(self) -> bool:
        """Tell whether all tables of this worker are complete and its streams run."""
        tables: Any = self.tables
        return bool(
            tables.recovery.completed.is_set()
            and not self.rebalancing
            and not self.in_recovery
            and not self.should_stop
        )

    def owner(self, changelog: str, partition: int) -> str | None:
        """Return the base URL of the worker that has that partition of a table, if one has."""
        for url, topics in self.assignor.tables_metadata().items():
            if partition in topics.get(changelog, ()):
                return str(url).rstrip("/")
        return None

    def peers(self) -> list[str]:
        """Return the base URLs of the other workers of this app."""
        own = str(self.conf.canonical_url).rstrip("/")
        urls = {str(url).rstrip("/") for url in self.assignor.tables_metadata()}
        return sorted(urls - {own})

    @property
    def batch_consumer(self) -> Consumer:
        """The consumer, as ours."""
        assert isinstance(self.consumer, Consumer)
        return self.consumer

    def log_rows(self) -> Iterator[Row]:
        """Yield what /metrics says of this worker's reading: lags, and what went wrong."""
        consumer = self.batch_consumer
        yield Row("refetched", {}, consumer.refetched, "Lost ranges that were fetched again.")
        yield Row("expired", {}, consumer.expired, "Records that retention took before us.")
        for found in consumer.assignment():
            tp = TP(found.topic, found.partition)
            end = consumer.highwater(tp)
            if tp in consumer.processed and end is not None:
                labels = {"topic": tp.topic, "partition": str(tp.partition)}
                lag = max(end - consumer.processed[tp], 0)
                yield Row("lag", labels, lag, "Records not processed yet.")
