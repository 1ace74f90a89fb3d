"""Sending with every acknowledgement awaited, on the embedded broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from dev.logs import read_topic
from streams import outgoing as module
from streams.declaring import declare
from streams.errors import BrokerUnavailable, SettingsError, TooLarge
from streams.outgoing import Outgoing
from streams.partitions import partition_of
from streams.records import Output
from streams.settings import Settings
from streams.topics import Topic

# Names of their own: the broker is shared with tests that declare the real ones.
KEYED = Topic("outgoing_keyed", "user_id", None)
WHOLE = Topic("outgoing_whole", "", None)

pytestmark = pytest.mark.asyncio(loop_scope="session")


def settings(broker: str, partitions: int = 3) -> Settings:
    return Settings(broker=f"embedded://{broker}", partitions=partitions)


@pytest_asyncio.fixture(loop_scope="session")
async def outgoing(embedded_broker: str) -> AsyncIterator[Outgoing]:
    await declare(settings(embedded_broker), "group", (KEYED, WHOLE))
    producer = AIOKafkaProducer(
        bootstrap_servers=embedded_broker, max_batch_size=4 << 20, max_request_size=8 << 20
    )
    await producer.start()
    app = SimpleNamespace(producer=SimpleNamespace(_producer=producer))
    deaths: list[str] = []
    found = Outgoing(app, 3, fatal=deaths.append)  # type: ignore[arg-type]
    found.deaths = deaths  # type: ignore[attr-defined]
    yield found
    await producer.stop()


async def test_records_go_where_their_keys_live_in_order(
    outgoing: Outgoing, embedded_broker: str
) -> None:
    await outgoing.send([Output(KEYED, f"u{n % 5}", b"%d" % n) for n in range(50)])
    records = await read_topic(embedded_broker, KEYED.name)
    for record in records[-50:]:
        assert record.partition == partition_of(record.key.decode(), 3)
    for user in range(5):
        values = [int(r.value) for r in records if r.key == b"u%d" % user]
        assert values == sorted(values)
    ends = {(KEYED.name, record.partition): record.offset for record in records}
    assert outgoing.acknowledged == ends


async def test_rows_sent_whole_lie_together_in_one_record_batch(
    outgoing: Outgoing, embedded_broker: str
) -> None:
    rows = [(b"users:%d" % n, b"{}" if n % 2 else None) for n in range(100)]
    offset = await outgoing.send_whole(WHOLE.name, 1, rows)
    records = [r for r in await read_topic(embedded_broker, WHOLE.name) if r.partition == 1]
    assert [(r.key, r.value) for r in records] == rows
    assert [r.offset for r in records] == list(range(offset, offset + 100))


async def test_rows_that_no_record_batch_can_hold_are_refused_before_they_are_sent(
    outgoing: Outgoing, embedded_broker: str
) -> None:
    before = len(await read_topic(embedded_broker, WHOLE.name))
    with pytest.raises(TooLarge, match="4 MiB"):
        await outgoing.send_whole(WHOLE.name, 1, [(b"k%d" % n, b"x" * 1_000_000) for n in range(5)])
    assert len(await read_topic(embedded_broker, WHOLE.name)) == before


async def test_a_record_over_its_topics_limit_is_named_before_it_is_sent(
    outgoing: Outgoing,
) -> None:
    with pytest.raises(TooLarge, match="outgoing_keyed, 4194304"):
        outgoing.check(Output(KEYED, "ann", b"x" * (4 << 20)))


async def test_a_page_is_told_where_its_records_went(outgoing: Outgoing) -> None:
    found = await outgoing.try_to_send(
        [Output(WHOLE, "ann", b"1", 2), Output(WHOLE, "bob", b"2")], within=5
    )
    assert [partition for partition, _ in found] == [2, partition_of("bob", 3)]


async def test_a_broker_that_does_not_acknowledge_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent:
        async def send_batch(self, *args: object, **options: object) -> object:
            import asyncio

            return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(module, "ACKNOWLEDGED_WITHIN", 0.05)
    deaths: list[str] = []
    app = SimpleNamespace(producer=SimpleNamespace(_producer=Silent()))
    outgoing = Outgoing(app, 3, fatal=deaths.append)  # type: ignore[arg-type]
    with pytest.raises(BrokerUnavailable):
        await outgoing.send([Output(KEYED, "ann", b"1")])
    assert "did not acknowledge" in deaths[0]
    with pytest.raises(BrokerUnavailable, match="may have been written"):
        await outgoing.try_to_send([Output(KEYED, "ann", b"1")], within=0.05)
    assert len(deaths) == 1


async def test_topics_are_declared_once_and_other_partition_numbers_stop_the_start(
    embedded_broker: str,
) -> None:
    topic = Topic("declared", "user_id", None)
    await declare(settings(embedded_broker), "group", (topic, KEYED))
    await declare(settings(embedded_broker), "group", (topic, KEYED))
    with pytest.raises(SettingsError, match="topic declared has 3 partitions"):
        await declare(settings(embedded_broker, partitions=4), "group", (topic,))
