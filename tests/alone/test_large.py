"""A sender that meets more on a partition than it fetches of one at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from sender.app import FETCHED
from streams.topics import DEAD_LETTERS, OUTBOX
from tests.alone.sending import PARTITIONS, Sending, senders

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def sending(broker_kind: str, tmp_path: Path) -> AsyncIterator[Sending]:
    async with senders(broker_kind, tmp_path) as sending:
        yield sending


async def test_a_record_larger_than_a_fetch_keeps_nothing_behind_it(sending: Sending) -> None:
    await sending.worker()
    large = AIOKafkaProducer(
        bootstrap_servers=sending.broker.partition("://")[2],
        max_request_size=OUTBOX.max_message_bytes,
    )
    await large.start()
    try:
        for partition in range(PARTITIONS):
            await large.send_and_wait(OUTBOX.name, bytes(3 * FETCHED), partition=partition)
    finally:
        await large.stop()
    jobs = await sending.load(OUTBOX.name, 40)
    mails = await sending.all_came(jobs)
    assert len(mails) == len(jobs) and set(mails.values()) == {1}
    assert len(await sending.records(DEAD_LETTERS.name)) == PARTITIONS
