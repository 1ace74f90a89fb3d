"""Stacks with two workers of each app, and workers of a test's own, on Apache Kafka alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from dev import services
from dev.services import KAFKA
from tests.conftest import Up, running
from tests.integration.cinema import Cinema
from tests.kafka.streaming import Worker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give the HOST:PORT of a module's own Apache Kafka, whose time and topics nobody else has."""
    async with running(await services.broker(KAFKA, tmp_path_factory.mktemp("own"))) as service:
        yield service.address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(start_up: Callable[..., Up]) -> AsyncIterator[Cinema]:
    """Give a stack of two streams and two sender workers on topic time."""
    flags = ("--broker", "kafka", "--clock", "topic", "--streams", "2", "--sender", "2")
    cinema = Cinema(start_up(*flags))
    await cinema.open()
    yield cinema
    await cinema.close()


@pytest.fixture
def worker(kafka_broker: str, redis_url: str, tmp_path: Path) -> Worker:
    """Give a worker that has not been started."""
    return Worker(kafka_broker, redis_url, tmp_path)
