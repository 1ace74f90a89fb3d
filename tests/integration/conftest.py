"""One stack on topic time for all tests of this folder; each test has people of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.conftest import Up
from tests.integration.cinema import Cinema
from tests.integration.commands import Commands


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the numbers be added up when everything else has happened."""
    items.sort(key=lambda item: item.path.name == "test_numbers.py")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cinema(start_up: Callable[..., Up]) -> AsyncIterator[Cinema]:
    """Give the stack that the tests of this folder share; time only goes forward."""
    cinema = Cinema(start_up("--clock", "topic"))
    await cinema.open()
    yield cinema
    await cinema.close()


@pytest.fixture(scope="session")
def commands(cinema: Cinema, broker_kind: str) -> Commands:
    """Give a way to run commands beside the shared stack."""
    return Commands(cinema.up.addresses, broker_kind)
