from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from dev.logs import end_offsets, read_topic
from streams.errors import BrokerUnavailable
from streams.logs import high_watermarks


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def bootstrap(request: pytest.FixtureRequest) -> str:
    name = {"embedded": "embedded_broker", "apache": "kafka_broker"}[request.param]
    address: str = request.getfixturevalue(name)
    return address


async def fill(bootstrap: str, topic: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 4, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        sent = [
            await producer.send(topic, key=b"%d" % number, value=b"%d" % number)
            for number in range(count)
        ]
        for future in sent:
            await future


async def test_a_topic_is_read_to_its_true_end(bootstrap: str) -> None:
    await fill(bootstrap, "ten-thousand", 10_000)
    records = await read_topic(bootstrap, "ten-thousand")
    assert {record.key for record in records} == {b"%d" % number for number in range(10_000)}
    assert len(records) == sum((await end_offsets(bootstrap, "ten-thousand")).values()) == 10_000
    for partition in range(4):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_reading_can_begin_where_it_ended(bootstrap: str) -> None:
    await fill(bootstrap, "continued", 10)
    before = await end_offsets(bootstrap, "continued")
    assert await read_topic(bootstrap, "continued", before) == []
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("continued", b"new")
    (record,) = await read_topic(bootstrap, "continued", before)
    assert record.value == b"new"


async def test_a_topic_that_is_not_there_is_an_error_and_not_made(bootstrap: str) -> None:
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="topic missing does not exist"):
            await read_topic(bootstrap, "missing")


async def test_asking_where_a_partition_ends_moves_no_position(bootstrap: str) -> None:
    await fill(bootstrap, "still", 100)
    tps = [TopicPartition("still", partition) for partition in range(4)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(tps)
        before = [await consumer.position(tp) for tp in tps]
        assert sum((await high_watermarks(consumer, tps)).values()) == 100
        assert [await consumer.position(tp) for tp in tps] == before
    finally:
        await consumer.stop()
