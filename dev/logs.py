"""What lies on a topic, to its true end, on Apache Kafka and on the embedded broker alike."""

from __future__ import annotations

from aiokafka import ConsumerRecord, TopicPartition

from streams.logs import Logs


async def partitions_of(bootstrap: str, *topics: str) -> list[TopicPartition]:
    """Return the partitions of the topics.

    Raises BrokerUnavailable when one does not exist.
    """
    async with Logs(bootstrap) as logs:
        return await logs.partitions(*topics)


async def end_offsets(bootstrap: str, *topics: str) -> dict[TopicPartition, int]:
    """Return the offset after the last record of each partition of the topics.

    Raises BrokerUnavailable when a topic does not exist.
    """
    async with Logs(bootstrap) as logs:
        return await logs.ends(await logs.partitions(*topics))


async def read_topic(
    bootstrap: str, topic: str, start: dict[TopicPartition, int] | None = None
) -> list[ConsumerRecord]:
    """Return every record that the topic holds now, partition by partition in order of offset.

    `start` leaves out what lies before (an `end_offsets` taken earlier).
    Raises BrokerUnavailable when the topic does not exist or nothing comes for a minute.
    """
    async with Logs(bootstrap) as logs:
        tps = await logs.partitions(topic)
        begins = await logs.begins(tps) | (start or {})
        records: dict[TopicPartition, list[ConsumerRecord]] = {tp: [] for tp in tps}
        async for some in logs.read(tps, {tp: begins[tp] for tp in tps}):
            for record in some:
                records[TopicPartition(record.topic, record.partition)].append(record)
        return [record for tp in tps for record in records[tp]]
