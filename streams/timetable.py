"""When each campaign is next due in each zone of a partition: one instant a pair, in a heap.

A tick costs a look at the top of the heap, however many users wait; a firing costs its users.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Final, NamedTuple

from agents.campaigns import campaigns
from streams.cron import Occurrence, next_after
from streams.events import Campaign
from streams.fields import zone
from tables.partition import Tables

# Before all that is due once.
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Firing:
    """A campaign's occurrence in one zone. `late`: the campaign came after its time there."""

    campaign: Campaign
    zone: str
    local: str
    instant: datetime
    late: bool = False


class _Next(NamedTuple):
    """What a pair's next occurrence is; none where nothing will be due any more."""

    campaign: Campaign | None
    occurrence: Occurrence | None


NOTHING: Final = _Next(None, None)


class Timetable:
    """What is due next in one partition, kept in step with its campaigns and zones."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._versions = (-1, -1)
        # Entries that `_next` does not know any more are passed over when they come up.
        self._heap: list[tuple[float, str, str]] = []
        self._next: dict[tuple[str, str], _Next] = {}
        self._late: deque[Firing] = deque()

    def due(self, start: datetime, end: datetime, limit: int) -> tuple[list[Firing], datetime]:
        """Return what is due in (start, end], in order of due time, and up to when that is all.

        Up to `limit` firings, so that they fit one write after whatever pause. Those of the last
        instant may be in part: who asks again from there, another worker perhaps, is given all of
        that instant.
        """
        self._sync(start)
        found: list[Firing] = []
        while self._late and len(found) < limit:
            found.append(self._late.popleft())
        if self._late:
            return found, start
        heap, last = self._heap, end.timestamp()
        while heap and heap[0][0] <= last:
            seconds, name, place = heap[0]
            campaign, occurrence = self._next.get((name, place), NOTHING)
            if occurrence is None or campaign is None or _seconds(occurrence) != seconds:
                heappop(heap)
                continue
            if len(found) == limit:
                return found, occurrence.instant - INSTANT
            heappop(heap)
            found.append(Firing(campaign, place, *occurrence))
            self._push(campaign, place, occurrence.instant)
        return found, end

    def _sync(self, start: datetime) -> None:
        """Enter pairs that are new or changed, and what came too late in them."""
        tables = self.tables
        versions = (tables.schedules.version, tables.users.zones_version)
        if versions == self._versions:
            return
        self._versions = versions
        wanted = {
            (name, place): campaign
            for name, campaign in campaigns(tables).items()
            if campaign.enabled
            for place in tables.users.by_zone
        }
        known = {id(following.campaign) for following in self._next.values()}
        before, self._next = self._next, {}
        late: list[Firing] = []
        for (name, place), campaign in wanted.items():
            following = before.get((name, place))
            if following is not None and following.campaign is campaign:
                self._next[name, place] = following
                continue
            row = tables.schedules.get(name)
            self._push(campaign, place, max(start, row.since) if row is not None else start)
            if row is None or campaign.cron is not None or id(campaign) in known:
                continue
            once = next_after(campaign, zone(place), BEGINNING)
            if once is not None and once.instant <= row.since >= start:
                late.append(Firing(campaign, place, *once, late=True))
        self._late.extend(sorted(late, key=lambda firing: firing.instant))

    def _push(self, campaign: Campaign, place: str, after: datetime) -> None:
        name = str(campaign.campaign_id)
        following = next_after(campaign, zone(place), after)
        self._next[name, place] = _Next(campaign, following)
        if following is not None:
            heappush(self._heap, (_seconds(following), name, place))


def _seconds(occurrence: Occurrence) -> float:
    return occurrence.instant.timestamp()
