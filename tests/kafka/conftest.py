"""Stacks on Apache Kafka alone, with two workers of each app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.conftest import Up
from tests.integration.cinema import Cinema


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(start_up: Callable[..., Up]) -> AsyncIterator[Cinema]:
    """Give a stack of two streams and two sender workers on topic time."""
    flags = ("--broker", "kafka", "--clock", "topic", "--streams", "2", "--sender", "2")
    cinema = Cinema(start_up(*flags))
    await cinema.open()
    yield cinema
    await cinema.close()
