"""The campaigns as they are shown: over all workers, as the contract's JSON or on a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from streams.fields import zone

#: What the JSON has (CONTRACT, "HTTP"); workers tell each other more, for the page.
FIELDS: Final = ("campaign_id", "kind", "cron", "enabled", "audience_now", "next")


class Firing(NamedTuple):
    """When a campaign is next due in one zone: by the clocks there, and in UTC."""

    zone: str
    local: datetime
    utc: datetime


def merged(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return two workers' campaigns as one list: zones of both, audiences added up."""
    found = {campaign["campaign_id"]: campaign for campaign in ours}
    for campaign in theirs:
        known = found.setdefault(campaign["campaign_id"], campaign)
        if known is not campaign:
            known["audience_now"] += campaign["audience_now"]
            known["next"] = {**campaign["next"], **known["next"]}
    return list(found.values())


def listed(campaigns: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the campaigns as the contract has them."""
    return [{name: campaign[name] for name in FIELDS} for campaign in campaigns]


def firings(following: Mapping[str, str]) -> list[Firing]:
    """Return the next instants by zone, the earliest first."""
    found = []
    for place, text in following.items():
        instant = datetime.fromisoformat(text)
        found.append(Firing(place, instant.astimezone(zone(place)), instant))
    return sorted(found, key=lambda firing: (firing.utc, firing.zone))
