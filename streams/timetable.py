"""When each campaign is next due in each zone of a partition: one instant a pair, in a heap.

A tick costs a look at the top of the heap, however many users wait; a firing costs its users.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

from agents.campaigns import campaigns
from streams.cron import next_after
from streams.events import Campaign
from streams.fields import zone
from streams.settings import Settings
from tables.partition import Tables


@dataclass(frozen=True, slots=True)
class Firing:
    """A campaign's occurrence in one zone. `late`: the campaign came after its time there."""

    campaign: Campaign
    zone: str
    local: str
    instant: datetime
    late: bool = False


class Timetable:
    """What is due next in one partition, kept in step with its campaigns and zones."""

    def __init__(self, tables: Tables, settings: Settings) -> None:
        self.tables = tables
        self._settings = settings
        self._versions = (-1, -1)
        self._heap: list[tuple[float, str, str, str]] = []
        self._current: dict[tuple[str, str], Campaign] = {}

    def due(self, start: datetime, end: datetime) -> list[Firing]:
        """Return all that is due in (start, end], in order of due time."""
        found = self._sync(start)
        heap = self._heap
        while heap and heap[0][0] <= end.timestamp():
            instant, name, place, local = heappop(heap)
            campaign = self._current.get((name, place))
            if campaign is None:
                continue
            at = datetime.fromtimestamp(instant, end.tzinfo)
            found.append(Firing(campaign, place, local, at))
            self._push(campaign, place, at)
        return sorted(found, key=lambda firing: firing.instant)

    def _sync(self, start: datetime) -> list[Firing]:
        """Enter pairs that are new or changed; return firings that they came too late for."""
        tables = self.tables
        versions = (tables.schedules.version, tables.users.zones_version)
        if versions == self._versions:
            return []
        self._versions = versions
        late: list[Firing] = []
        before, self._current, self._heap = self._current, {}, []
        old_campaigns = {id(campaign) for campaign in before.values()}
        for name, campaign in campaigns(tables).items():
            if not campaign.enabled:
                continue
            row = tables.schedules.get(name)
            since = max(start, row.since) if row is not None else start
            for place in list(tables.users.by_zone):
                self._current[name, place] = campaign
                self._push(campaign, place, since)
                if row is None or campaign.cron is not None or id(campaign) in old_campaigns:
                    continue
                once = next_after(campaign, zone(place), datetime.min.replace(tzinfo=start.tzinfo))
                if once is not None and once.instant <= row.since >= start:
                    late.append(Firing(campaign, place, once.local, once.instant, late=True))
        return late

    def _push(self, campaign: Campaign, place: str, after: datetime) -> None:
        following = next_after(campaign, zone(place), after)
        if following is not None:
            entry = (following.instant.timestamp(), str(campaign.campaign_id), place)
            heappush(self._heap, (*entry, following.local))
