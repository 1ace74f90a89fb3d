"""A partition to decide in: what the boundary does around agents, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest

from agents import AGENTS
from agents.campaigns import campaigns, fire, firing
from agents.held import release
from streams.cron import next_after
from streams.decisions import Arrival, Decision
from streams.fields import zone
from streams.jobs import Cause, Delivery, Job
from streams.settings import Settings
from streams.topics import DECODERS
from tables.films import Films
from tables.partition import Tables
from tables.person import UserRow

BY_TOPIC = {agent.topic.name: agent for agent in AGENTS}
# A Sunday, noon in UTC.
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Desk:
    """One partition's tables with a clock, and agents called as the boundary calls them."""

    def __init__(self, now: datetime = NOON) -> None:
        self.settings = Settings()
        self.films = Films()
        self.tables = Tables(self.films, self.settings.default_timezone)
        self.now = now
        self._offsets = count()

    def send(self, topic: str, at: datetime | None = None, /, **value: Any) -> list[Decision]:
        """Decide a record: for those it names, or for everyone."""
        event = DECODERS[topic](msgspec.json.encode(value))
        arrival = self.arrival(topic, at, value.get("event_id"))
        agent = BY_TOPIC[topic]
        decisions: list[Decision] = []
        if topic == "films":
            self.films.put(event, (at or self.now).timestamp())
        if agent.partition is not None:
            decisions += agent.partition(event, None, self.tables, arrival)
        else:
            assert agent.person is not None
            people = event.people
            for user_id in list(self.tables.users.known) if people is None else people:
                user = self.tables.users.of(user_id)
                decisions += agent.person(event, user, self.tables, arrival)
        self.merge()
        return decisions

    def tombstone(self, topic: str, key: str) -> None:
        """Decide a tombstone of a compacted topic."""
        agent = BY_TOPIC[topic]
        if agent.erases:
            arrival = self.arrival(topic)
            self.tables.forget(key, arrival.identity, arrival.now)
        else:
            assert agent.partition is not None
            list(agent.partition(None, key, self.tables, self.arrival(topic)))
        self.merge()

    def go_to(self, then: datetime) -> list[Decision]:
        """Let time go on: fire campaigns and release held jobs in order of due time."""
        firings = []
        for name, campaign in campaigns(self.tables).items():
            row = self.tables.schedules.get(name)
            for place in self.tables.users.by_zone:
                at = max(self.now, row.since) if row else self.now
                while campaign.enabled and (following := next_after(campaign, zone(place), at)):
                    at = following.instant
                    if at > then:
                        break
                    firings.append((at, name, campaign, place, following.local))
        self.now = then
        decisions: list[Decision] = []
        for due, name, campaign, place, local in sorted(firings, key=lambda one: one[:2]):
            arrival = firing(self.arrival("campaigns"), name, local)
            for user_id in list(self.tables.users.by_zone.get(place, ())):
                user = self.tables.users.of(user_id)
                assert user.known_since is not None
                if user.known_since <= due:
                    decisions += fire(campaign, user, local, due, self.tables, arrival)
            self.merge()
        for job_id in self.tables.deferred.due(then, 1000):
            row_of = self.tables.deferred.get(job_id)
            assert row_of is not None
            job = row_of.job
            user = self.tables.users.of(job.user_id)
            decisions += release(job, user, self.tables, self.arrival("held"))
        self.merge()
        return decisions

    def hold(self, decisions: Iterable[Decision]) -> None:
        """Let the jobs that wait rest, as the agent of `held` does."""
        for job in jobs(decisions):
            if job.not_before is not None:
                self.send("held", **msgspec.to_builtins(job))

    def user(self, user_id: str) -> UserRow:
        """Return a person's row."""
        return self.tables.users.of(user_id)

    def arrival(
        self, topic: str, at: datetime | None = None, event_id: str | None = None
    ) -> Arrival:
        """Return the arrival of the next record of a topic."""
        offset = next(self._offsets)
        return Arrival(
            cause=Cause(topic, 0, offset, event_id),
            at=at or self.now,
            now=self.now,
            identity=event_id or f"{topic}/0/{offset}",
            partition=0,
            settings=self.settings,
        )

    def merge(self) -> None:
        """Keep and merge the changes, as after Kafka's acknowledgement."""
        self.tables.keep()
        list(self.tables.changelog())
        self.tables.merge()


def jobs(decisions: Iterable[Decision]) -> list[Job]:
    """Return the jobs among decisions."""
    return [decision for decision in decisions if isinstance(decision, Job)]


def reasons(decisions: Iterable[Decision]) -> list[str]:
    """Return the reasons of the skips among decisions."""
    return [decision.reason for decision in decisions if isinstance(decision, Delivery)]


@pytest.fixture
def desk() -> Desk:
    """Return a partition where it is Sunday noon."""
    return Desk()


@pytest.fixture
def cinema(desk: Desk) -> Desk:
    """Return a partition with Ann in Berlin, Bob in Tokyo, and some films."""
    for number in range(1, 15):
        desk.send(
            "films",
            film_id=f"f{number}",
            title=f"Film {number}",
            genres=["drama"] if number % 2 else ["comedy", "drama"],
            rating=number / 2,
            released="1927-01-10",
            series_id="s1" if number > 12 else None,
        )
    # Since Saturday: no campaign of theirs has been due.
    desk.now = NOON - timedelta(days=1)
    desk.send(
        "users",
        user_id="ann",
        email="ann@example.org",
        username="Ann",
        timezone="Europe/Berlin",
        locale="de",
    )
    desk.send(
        "users",
        user_id="bob",
        email="bob@example.org",
        username="Bob",
        timezone="Asia/Tokyo",
        locale="ru",
    )
    desk.now = NOON
    return desk
