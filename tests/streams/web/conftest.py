"""A streams worker's pages on a bare aiohttp application, with its neighbours played by lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from streams.errors import BrokerUnavailable, Recovering, RedisUnavailable
from streams.events import now_utc
from streams.jobs import Cause, Delivery
from streams.limits import Limits
from streams.metrics import Metrics, Row
from streams.records import Output
from streams.revocations import Revocations
from streams.settings import Settings
from streams.web import BODY_LIMIT, Site, mount

KEY = "key-that-may-do-everything"
SECRET = "a-secret-for-json-web-tokens-of-32-bytes"


@dataclass
class Neighbours:
    """What the rest of the application would say and do."""

    written: list[Output] = field(default_factory=list)
    deliveries: dict[str, list[Delivery]] = field(default_factory=dict)
    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)
    preferences: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: list[dict[str, Any]] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)
    statuses: dict[str, dict[str, int]] | None = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    broker_is_away: bool = False
    recovering: bool = False
    hangs: bool = False

    async def produce(self, outputs: list[Output]) -> Sequence[tuple[int, int]]:
        if self.broker_is_away:
            raise BrokerUnavailable("no answer in 5 s")
        start = len(self.written)
        self.written.extend(outputs)
        return [(output.partition or 0, start + i) for i, output in enumerate(outputs)]

    def statistics_of(self, user_id: str, month: str | None) -> dict[str, Any]:
        if self.recovering:
            raise Recovering("partition 3 is recovering")
        return self.statistics[user_id] | {"month": month}

    def preferences_of(self, user_id: str) -> dict[str, Any]:
        if self.recovering:
            raise Recovering("partition 3 is recovering")
        return self.preferences[user_id]

    def preview_of(self, user_id: str, template: str) -> dict[str, Any]:
        return {"user_id": user_id, "template": template}

    async def senders_now(self) -> Sequence[str]:
        return self.senders

    async def deliveries_of(self, user_id: str) -> Sequence[Delivery]:
        return self.deliveries.get(user_id, [])

    async def campaigns_now(self) -> Sequence[dict[str, Any]]:
        return self.campaigns

    async def statuses_now(self) -> dict[str, dict[str, int]]:
        if self.statuses is None:
            raise RedisUnavailable("no answer")
        return self.statuses

    async def waiting(self) -> Sequence[str]:
        if self.hangs:
            await asyncio.sleep(60)
        return self.waits

    async def all_rows(self) -> Sequence[Row]:
        return self.rows


Client = TestClient[web.Request, web.Application]
Start = Callable[..., Any]


@pytest.fixture
def settings() -> Settings:
    return Settings(
        api_keys=(KEY, "key-that-may-only-post:intake", "key-that-may-only-read:read"),
        jwt_secret=SECRET,
        link_secret="a-secret-for-links-in-mails",
    )


@pytest.fixture
def neighbours() -> Neighbours:
    return Neighbours()


@pytest.fixture
async def start(settings: Settings, neighbours: Neighbours, redis: Redis) -> AsyncIterator[Start]:
    """Start a worker's pages; settings may be changed by keyword."""
    clients: list[Client] = []

    async def go(
        them: Neighbours = neighbours, limits: Limits | None = None, **changes: Any
    ) -> Client:
        app = web.Application(client_max_size=BODY_LIMIT)
        mount(
            app,
            Site(
                settings=replace(settings, **changes),
                metrics=Metrics(them.all_rows),
                produce=them.produce,
                statistics=them.statistics_of,
                preferences=them.preferences_of,
                preview=them.preview_of,
                owner_url=them.owners.get,
                deliveries=them.deliveries_of,
                statuses=them.statuses_now,
                campaigns=them.campaigns_now,
                peers=lambda: them.peers,
                revocations=Revocations(redis),
                limits=limits or Limits(redis),
                senders=them.senders_now,
                waiting=them.waiting,
            ),
        )
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return client

    yield go
    for client in clients:
        await client.close()


@pytest.fixture
async def client(start: Start) -> Client:
    client: Client = await start()
    return client


def delivery(user_id: str, status: Any, reason: str) -> Delivery:
    return Delivery(
        job_id="0" * 32,
        user_id=user_id,
        channel="email",
        kind="tip",
        status=status,
        reason=reason,
        attempt=1,
        at=now_utc(),
        cause=Cause("campaigns", 0, 1),
    )
