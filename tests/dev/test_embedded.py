"""The embedded broker's workarounds, through a real worker."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from tests.conftest import Up, eventually

pytestmark = pytest.mark.integration

PEOPLE = 10_000


async def get(up: Up, path: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {up.addresses.api_key}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(up.addresses.streams[0] + path) as response,
        ):
            return response.status, await response.json()
    except aiohttp.ClientError:
        return 0, None


async def audience(up: Up) -> int:
    """Return how many people the worker's tables hold."""
    status, campaigns = await get(up, "/campaigns")
    return max((each["audience_now"] for each in campaigns), default=0) if status == 200 else -1


@pytest.fixture
def own_stack(start_up: Callable[..., Up]) -> Iterator[Up]:
    """Give a stack of one's own: so many people would be in every other test's way."""
    up = start_up()
    yield up
    up.stop()


async def test_ten_thousand_rows_come_back_after_a_kill(own_stack: Up) -> None:
    stack = own_stack
    async with AIOKafkaProducer(bootstrap_servers=stack.addresses.broker) as producer:
        for number in range(PEOPLE):
            user = {"user_id": f"row-{number}", "email": f"row-{number}@example.com"}
            await producer.send(
                "users", key=user["user_id"].encode(), value=json.dumps(user).encode()
            )
        await producer.flush()

    async def all_there() -> bool:
        return await audience(stack) == PEOPLE

    await eventually(all_there, 30)
    (old,) = stack.pids["streams"]
    os.kill(old, signal.SIGKILL)

    async def recovered() -> bool:
        return stack.pids["streams"] != [old] and (await get(stack, "/health/ready"))[0] == 200

    await eventually(recovered, 60)
    assert await audience(stack) == PEOPLE
