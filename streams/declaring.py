"""Topics are declared at start: created where missing, held against ours where they are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)

from streams.errors import SettingsError
from streams.settings import Settings
from streams.topics import TOPICS, Topic

logger = logging.getLogger(__name__)

# Doubled from a quarter of a second: quick beside a broker that just starts, quiet beside one away.
FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 5.0


def bootstrap(settings: Settings) -> list[str]:
    """Return the brokers' addresses as host:port."""
    _, _, rest = settings.broker.partition("://")
    return [address for address in rest.rstrip("/").split(";") if address]


async def declare(
    settings: Settings, group: str, topics: Iterable[Topic] = tuple(TOPICS.values())
) -> None:
    """Wait for the broker, declare the topics, and wait until it coordinates the group.

    Raises SettingsError where a topic has another number of partitions than CINEMA_PARTITIONS.
    """
    admin = await _connected(settings)
    try:
        await _create(admin, topics, settings)
        await _compare(admin, topics, settings)
        await _coordinated(admin, group)
    finally:
        await admin.close()


async def _connected(settings: Settings) -> AIOKafkaAdminClient:
    wait = FIRST_WAIT
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(settings), client_id="cinema")
        try:
            await admin.start()
            return admin
        except (KafkaConnectionError, KafkaError, OSError) as error:
            await admin.close()
            logger.warning("waiting for the broker at %s: %s", settings.broker, error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)


async def _create(admin: AIOKafkaAdminClient, topics: Iterable[Topic], settings: Settings) -> None:
    """Create the topics that are missing, all in one request: one by one took four seconds."""
    partitions, copies = settings.partitions, settings.replication
    answer = await admin.create_topics(
        [NewTopic(one.name, partitions, copies, topic_configs=one.config) for one in topics]
    )
    for name, code, *_ in answer.topic_errors:
        if code and code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"topic {name} could not be created")


async def _compare(admin: AIOKafkaAdminClient, topics: Iterable[Topic], settings: Settings) -> None:
    """Wait until every broker's answer knows the topics, and hold their partitions against ours."""
    names = {topic.name for topic in topics}
    while names:
        for found in await admin.describe_topics(sorted(names)):
            name, partitions = found["topic"], len(found["partitions"])
            if found["error_code"] or not partitions:
                continue
            if partitions != settings.partitions:
                raise SettingsError(
                    f"topic {name} has {partitions} partitions, but CINEMA_PARTITIONS="
                    f"{settings.partitions}: set it to {partitions}"
                )
            names.discard(name)
        if names:
            logger.info("waiting for topics to appear: %s", ", ".join(sorted(names)))
            await asyncio.sleep(FIRST_WAIT)


async def _coordinated(admin: AIOKafkaAdminClient, group: str) -> None:
    """Wait until there is a coordinator: a new cluster first makes the topic of offsets."""
    while True:
        try:
            await admin.find_coordinator(group)
        except GroupCoordinatorNotAvailableError:
            logger.info("waiting for a coordinator of group %s", group)
            await asyncio.sleep(FIRST_WAIT)
        else:
            return
