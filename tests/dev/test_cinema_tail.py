from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from dev import services
from dev.cinema.feed import Feed
from dev.cinema.records import Record
from dev.cinema.tail import Entry, Tail
from dev.cinema.visits import CONFIRM_LINK, UNSUBSCRIBE_LINK, job_of
from dev.supervisor import Supervisor
from streams.errors import BrokerUnavailable
from streams.partitions import partition_of

AT = datetime(2026, 10, 1, tzinfo=UTC)
PARTITIONS = 4
TOPICS = ("users", "clock")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    service = await services.broker(services.EMBEDDED, tmp_path)
    supervisor = Supervisor(lambda: None)
    (kept,) = supervisor.stage([(service.child, True)], grace=2.0)
    await kept.start()
    await kept.wait_ready(service.ready, 10.0)
    admin = AIOKafkaAdminClient(bootstrap_servers=service.address)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in TOPICS])
    await admin.close()
    yield service.address
    await supervisor.stop()


async def test_what_the_feed_sends_the_tail_reads_once_and_to_the_end(broker: str) -> None:
    found: list[Entry] = []
    tail, feed = Tail(broker, TOPICS, found.append), Feed(broker, PARTITIONS)
    await tail.start()
    await feed.start()
    records = [Record("users", f"u{number}", b"{}", AT) for number in range(100)]
    astray = Record("users", "u1", None, AT, partition_of("u1", PARTITIONS) ^ 1)
    try:
        assert await tail.read() == 0
        await feed.send([*records, astray])
        assert await tail.read() == 101
        assert await tail.read() == 0
        await feed.tick([AT, AT])
        assert await tail.read() == 2 * PARTITIONS
    finally:
        await feed.stop()
        await tail.stop()
    assert tail.ends_of == {"users": 101, "clock": 2 * PARTITIONS} == feed.sent
    users = [entry for entry in found if entry.topic == "users"]
    for entry in users[:-1]:
        assert entry.key is not None
        if entry.value is not None:
            assert entry.partition == partition_of(entry.key.decode(), PARTITIONS)
    assert [entry.value for entry in users].count(None) == 1
    assert {entry.partition for entry in found if entry.topic == "clock"} == set(range(PARTITIONS))


async def test_a_topic_that_is_not_there_is_named(broker: str) -> None:
    tail = Tail(broker, ("nowhere",), lambda entry: None)
    try:
        with pytest.raises(BrokerUnavailable, match="nowhere"):
            await tail.start()
    finally:
        await tail.stop()


def test_links_are_found_in_mails_as_they_are_written() -> None:
    text = "Confirm: http://127.0.0.1:1/confirm/0af3-Z_9\nor not"
    found = CONFIRM_LINK.search(text)
    assert found is not None
    assert found[0] == "http://127.0.0.1:1/confirm/0af3-Z_9"
    header = "<mailto:a@b>, <https://x.example/unsubscribe/a.b-c_d>"
    assert re.findall(UNSUBSCRIBE_LINK, header) == ["https://x.example/unsubscribe/a.b-c_d"]
    assert job_of({"MessageID": "<abc@mail.example>"}) == job_of({"MessageID": "abc@y"}) == "abc"
