"""`python -m dev events`: one valid event on each input topic."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from dev.logs import partitions_of
from dev.supervisor import say
from streams import topics
from streams.errors import CinemaError
from streams.topics import Topic


def samples(now: datetime) -> list[tuple[Topic, str | None, dict[str, Any]]]:
    """Return topic, key and value of each event, in an order in which they make sense."""
    ann, film, series = "ann", "metropolis", "fantomas"
    watched = (now - timedelta(days=1)).isoformat()
    return [
        (
            topics.FILMS,
            film,
            {
                "film_id": film,
                "title": "Metropolis",
                "url": "https://cinema.example/films/metropolis",
                "genres": ["drama", "science fiction"],
                "rating": 8.3,
                "released": 1927,
            },
        ),
        (
            topics.USERS,
            ann,
            {
                "user_id": ann,
                "email": "ann@example.com",
                "username": "Ann",
                "timezone": "Europe/Berlin",
                "locale": "en",
                "created_at": now.isoformat(),
            },
        ),
        (
            topics.REGISTRATION,
            ann,
            {
                "event": "send_greeting",
                "user_id": ann,
                "email": "ann@example.com",
                "username": "Ann",
                "redirect_url": "https://cinema.example/welcome",
            },
        ),
        (
            topics.WATCH_HISTORY,
            ann,
            {"user_id": ann, "film_id": film, "seconds": 9180, "at": watched},
        ),
        (topics.BOOKMARKS, ann, {"user_id": ann, "series_id": series, "added": True}),
        (
            topics.EPISODES,
            series,
            {
                "series_id": series,
                "serial_name": "Fantômas",
                "season": 1,
                "episode": 2,
                "link": "https://cinema.example/series/fantomas/1/2",
            },
        ),
        (topics.WEEKLY_REMINDER, None, {"event": "send_reminder"}),
        (topics.MONTHLY_STATISTIC, None, {"event": "send_statistic"}),
        (topics.ACTIVITY, ann, {"user_id": ann, "body": "Bob liked your review of Metropolis"}),
        (
            topics.LETTERS,
            None,
            {
                "subject": "A letter from the editors",
                "text": "Dear Ann, thank you for being here.",
                "body": "<p>Dear Ann, thank you for being here.</p>",
                "to": "ann@example.com",
            },
        ),
        (
            topics.CAMPAIGNS,
            "silent-saturday",
            {
                "campaign_id": "silent-saturday",
                "kind": "tip",
                "cron": "0 11 * * 6",
                "audience": "all",
                "context": {"film_id": film},
            },
        ),
        (
            topics.PREFERENCES,
            ann,
            {"user_id": ann, "quiet_hours": {"from": "22:00", "to": "08:00"}},
        ),
        (topics.CLOCK, None, {"at": now.isoformat()}),
    ]


async def send(broker: str) -> int:
    """Send the events and return how many; each is acknowledged before the next goes out.

    Raises BrokerUnavailable when the topics are not there, KafkaError when a send fails.
    """
    events = samples(datetime.now(UTC))
    await partitions_of(broker, *(topic.name for topic, _, _ in events))
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    try:
        for topic, key, value in events:
            record = await producer.send_and_wait(
                topic.name,
                key=None if key is None else key.encode(),
                value=msgspec.json.encode(value),
            )
            say(f"{topic.name}/{record.partition} at {record.offset}")
    finally:
        await producer.stop()
    return len(events)


def main(arguments: Sequence[str]) -> int:
    """Read the flags and send."""
    parser = argparse.ArgumentParser(prog="python -m dev events", description=__doc__)
    parser.add_argument("--broker", required=True, metavar="HOST:PORT")
    options = parser.parse_args(arguments)
    try:
        count = asyncio.run(send(options.broker))
    except (CinemaError, KafkaError) as error:
        say(f"error: {options.broker}: {error}")
        return 1
    print(f"{count} events sent")
    return 0
