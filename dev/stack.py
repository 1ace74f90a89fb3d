"""A whole stack: broker, Redis, mailbox and workers, started together and stopped together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from dev import services, workers
from dev.echo import Echo
from dev.errors import StackError
from dev.folder import Folder
from dev.services import EMBEDDED, KAFKA, Service
from dev.supervisor import Supervised, Supervisor
from dev.workers import Worker
from streams.settings import PREFIX, Settings

# Seconds a service may take: Kafka's JVM took 6 on two idle cores.
SERVICE_LIMIT: Final = 60.0
# Seconds until all workers are ready: topics made, tables recovered, on busy cores.
WORKER_LIMIT: Final = 120.0
# Seconds to end by themselves: together under the 15 that the contract gives `dev up`.
WORKER_GRACE: Final = 10.0
SERVICE_GRACE: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to start. `broker` is `embedded`, `kafka`, or the HOST:PORT of one that runs.

    `mailbox` makes what takes the mails, with the URL of its pages; `settings` go to the workers
    beside those that the stack makes (by their whole names).
    """

    broker: str = EMBEDDED
    clock: Literal["wall", "topic"] = "wall"
    streams: int = 1
    sender: int = 1
    data: Path | None = None
    smtp: bool = True
    mailbox: Callable[[Path], tuple[Service, str | None]] = services.mailbox
    settings: Mapping[str, str] = field(default_factory=dict)


class Addresses(msgspec.Struct, kw_only=True, frozen=True):
    """The JSON line of `dev up`. `mailbox` is None with an SMTP server of the caller's own."""

    broker: str
    redis: str
    smtp: str
    streams: list[str]
    sender: list[str]
    mailbox: str | None
    api_key: str
    jwt_secret: str
    data: str


class Stack:
    """Everything that runs. `async with` starts it, waits until it is ready, and stops it."""

    #: Set when the stack is ready.
    addresses: Addresses
    #: What the workers were started with; `settings` is the same, read.
    environ: dict[str, str]

    def __init__(self, options: Options) -> None:
        """Claim the data folder; raises StackError when another stack has it."""
        self.options = options
        self.folder = Folder(options.data)
        self._supervisor = Supervisor(self._write_pids)
        self._services: dict[str, Supervised] = {}
        self._workers: dict[str, list[Supervised]] = {app: [] for app in workers.APPS}
        self._echo: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stack:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    @property
    def settings(self) -> Settings:
        """The workers' settings, secrets included."""
        return Settings.from_env(self.environ)

    async def failed(self) -> None:
        """Wait until something ends that cannot be started again, and raise StackError."""
        await self._supervisor.failed()

    async def stop(self) -> None:
        """Stop everything: workers first, since they need the others to end well."""
        if self._echo is not None:
            self._echo.cancel()
            with suppress(asyncio.CancelledError):
                await self._echo
        await self._supervisor.stop()
        self.folder.close()

    async def _start(self) -> None:
        data, options = self.folder.path, self.options
        secrets = self.folder.secrets()
        own: dict[str, Service] = {}
        if options.broker in (EMBEDDED, KAFKA):
            own["broker"] = await services.broker(options.broker, data)
        # What Redis remembers of a broker that has forgotten all would suppress new jobs.
        # Beside a broker in memory there is nothing to come back to.
        keeps = options.broker != services.EMBEDDED
        own["redis"] = services.redis(data, broker=options.broker, keeps=keeps)
        pages = None
        if options.smtp:
            own["mailbox"], pages = options.mailbox(data)
        smtp = f"smtp://{own['mailbox'].address}?starttls=never" if options.smtp else _own_smtp()
        broker = own["broker"].address if "broker" in own else options.broker
        redis = f"redis://{own['redis'].address}/0"
        await self._start_services(own)

        ports = workers.ports({workers.STREAMS: options.streams, workers.SENDER: options.sender})
        urls = {app: [workers.url(port) for port in ports[app]] for app in ports}
        settings = workers.settings(
            broker=f"{'embedded' if options.broker == EMBEDDED else 'kafka'}://{broker}",
            redis=redis,
            smtp=smtp,
            clock=options.clock,
            secrets=secrets,
            sender_urls=urls[workers.SENDER],
            streams_urls=urls[workers.STREAMS],
        )
        self.environ = {**os.environ, **settings, **options.settings}
        server = self.settings.smtp[0]
        self.addresses = Addresses(
            broker=broker,
            redis=redis,
            smtp=f"{server.host}:{server.port}",
            streams=urls[workers.STREAMS],
            sender=urls[workers.SENDER],
            mailbox=pages,
            api_key=secrets.api_key,
            jwt_secret=secrets.jwt_secret,
            data=str(data),
        )
        await self._start_workers(
            {
                app: [
                    workers.worker(app, number, port, self.environ, data)
                    for number, port in enumerate(ports[app])
                ]
                for app in ports
            }
        )

    async def _start_services(self, own: Mapping[str, Service]) -> None:
        kept = self._supervisor.stage(
            [(service.child, service.vital) for service in own.values()], grace=SERVICE_GRACE
        )
        self._services = dict(zip(own, kept, strict=True))
        await asyncio.gather(*(one.start() for one in kept))
        await asyncio.gather(
            *(
                self._services[name].wait_ready(service.ready, SERVICE_LIMIT)
                for name, service in own.items()
            )
        )

    async def _start_workers(self, made: Mapping[str, list[Worker]]) -> None:
        everyone = [worker for app in made.values() for worker in app]
        self._echo = asyncio.create_task(Echo([worker.child for worker in everyone]).run())
        kept = self._supervisor.stage(
            [(worker.child, False) for worker in everyone], grace=WORKER_GRACE
        )
        rest = iter(kept)
        self._workers = {app: [next(rest) for _ in made[app]] for app in made}
        await asyncio.gather(*(one.start() for one in kept))
        await asyncio.gather(
            *(
                one.wait_ready(worker.ready, WORKER_LIMIT)
                for one, worker in zip(kept, everyone, strict=True)
            )
        )

    def _write_pids(self) -> None:
        """Write every process's id; the contract's names, and the mailbox's."""
        pids: dict[str, Any] = {"broker": None}
        pids |= {name: kept.child.pid for name, kept in self._services.items()}
        pids |= {app: [one.child.pid for one in kept] for app, kept in self._workers.items()}
        self.folder.write_pids(pids)


def _own_smtp() -> str:
    name = f"{PREFIX}SMTP"
    if not os.environ.get(name):
        raise StackError(f"--no-smtp wants {name} to be set (smtp://host:port)")
    return os.environ[name]
