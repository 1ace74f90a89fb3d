"""What the operators' pages want to know of the tables; nothing here changes any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from agents import AGENTS
from agents.audience import in_audience
from agents.campaigns import campaigns
from streams import topics
from streams.cron import next_after
from streams.decisions import Arrival
from streams.events import Audience, now_utc
from streams.faust_app import CinemaApp
from streams.fields import zone
from streams.jobs import Cause
from streams.kinds import KINDS
from streams.metrics import Row
from streams.passing import now_of
from streams.state import State
from tables.counts import OUTCOMES
from tables.partition import Tables

#: The topics that have a book.
READ: Final = (*(agent.topic.name for agent in AGENTS), topics.CLOCK.name)
# People of an audience counted at once: some milliseconds where each one's watches are looked at.
COUNTED: Final = 500


class Lookups:
    """Looks things up in the tables of this worker's partitions."""

    def __init__(self, app: CinemaApp, state: State) -> None:
        """Look into that state, as far as the app has its partitions."""
        self._app = app
        self._settings = app.cinema
        self._state = state

    async def campaigns(self) -> list[dict[str, Any]]:
        """Return the campaigns with their next instants, as this worker's partitions know them.

        Counting an audience may take seconds: others have their turns meanwhile.
        """
        found: dict[str, dict[str, Any]] = {}
        for partition in self._app.owned(topics.CAMPAIGNS):
            tables = self._state.tables(partition)
            now = shown_at(tables)
            for name, campaign in campaigns(tables).items():
                entry = found.setdefault(
                    name,
                    {
                        "campaign_id": name,
                        "kind": campaign.kind,
                        "cron": campaign.cron,
                        "at": campaign.at and _utc(campaign.at),
                        "local_at": campaign.local_at and campaign.local_at.isoformat(),
                        "audience": _audience(campaign.audience),
                        "enabled": campaign.enabled,
                        "audience_now": 0,
                        "next": {},
                    },
                )
                arrival = self._looking(partition, now)
                for place, users in list(tables.users.by_zone.items()):
                    if campaign.enabled and place not in entry["next"]:
                        following = next_after(campaign, zone(place), now)
                        if following is not None:
                            entry["next"][place] = _utc(following.instant)
                    if campaign.audience == "all":
                        entry["audience_now"] += len(users)
                        continue
                    # They come and go while we count.
                    ids = list(users)
                    for start in range(0, len(ids), COUNTED):
                        entry["audience_now"] += sum(
                            in_audience(campaign.audience, row, tables, arrival, now)
                            for user_id in ids[start : start + COUNTED]
                            if (row := tables.users.get(user_id)) is not None
                        )
                        await asyncio.sleep(0)
        return list(found.values())

    def book(self, partition: int) -> Iterator[Row]:
        """Yield a partition's own book, for /metrics."""
        tables = self._state.partitions_held.get(partition)
        if tables is None:
            return
        label = {"partition": str(partition)}
        book = tables.counts.book
        yield Row("users", label, len(tables.users.known), "People with an address.")
        yield Row("walks_open", label, tables.walks.number_open, "Walks under way.")
        yield Row("deferred", label, len(tables.deferred.rows), "Jobs that rest.")
        yield Row("groups_open", label, len(tables.groups.rows), "Open windows of activity.")
        yield Row("clock", label, book.tick or 0, "The partition's time.")
        # Zeros, too: what is not there can neither be subtracted nor be seen to rise.
        for topic in READ:
            labels = {"topic": topic, **label}
            yield Row("applied", labels, book.applied.get(topic, 0), "The book's next offset.")
            for outcome in OUTCOMES:
                number = book.records.get(topic, {}).get(outcome, 0)
                labels = {"topic": topic, "outcome": outcome, **label}
                yield Row("records", labels, number, "Records by how they ended.")
        for kind in KINDS:
            number = book.jobs.get(kind, 0)
            yield Row("job_ids", {"kind": kind, **label}, number, "Unique job ids.")

    def _looking(self, partition: int, now: datetime) -> Arrival:
        cause = Cause("campaigns", partition, -1)
        return Arrival(
            cause=cause,
            at=now,
            now=now,
            identity="",
            partition=partition,
            settings=self._settings,
        )


def shown_at(tables: Tables) -> datetime:
    """Return the time that a look at a partition is of: the wall clock's before its first tick."""
    return now_of(tables) or now_utc()


def _audience(audience: str | Audience) -> str | dict[str, Any]:
    """Return whom a campaign is for; of ids their number, which may be large."""
    if not isinstance(audience, Audience):
        return audience
    asked: dict[str, Any] = msgspec.to_builtins(audience)
    if audience.users is not None:
        asked["users"] = len(audience.users)
    return {name: value for name, value in asked.items() if value is not None}


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
