"""When a campaign is due in a zone: cron expressions evaluated in local time.

A fixed local time that does not exist fires at the next valid instant; one that exists twice fires
once, the first time; expressions with a wildcard in minute or hour follow cronsim (Debian's cron),
which fires whenever the clock shows such a time, but leaves some out on a day when the clock moves
by something else than an hour (Lord Howe, twice a year).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from streams.events import Campaign
from streams.windows import at_local, change

# No zone sets its clock back by more than this: so far ahead may lie a local time that has been.
OVERLAP: Final = timedelta(hours=3)


class Occurrence(NamedTuple):
    """One firing of a campaign in a zone: its name (a naive local time) and its instant in UTC."""

    local: str
    instant: datetime


def next_after(campaign: Campaign, zone: ZoneInfo, now: datetime) -> Occurrence | None:
    """Return the campaign's first occurrence in that zone after `now`, None if there is none."""
    if campaign.cron is None:
        once = _once(campaign, zone)
        return once if once.instant > now else None
    local = now.astimezone(zone)
    if _follows_cronsim(campaign.cron):
        times = _aware(CronSim(campaign.cron, local), zone)
    else:
        times = _naive(CronSim(campaign.cron, local.replace(tzinfo=None, fold=0)), zone)
    return next((occurrence for occurrence in times if occurrence.instant > now), None)


def last_before(campaign: Campaign, zone: ZoneInfo, now: datetime) -> Occurrence | None:
    """Return the campaign's latest occurrence in that zone at or before `now`."""
    if campaign.cron is None:
        once = _once(campaign, zone)
        return once if once.instant <= now else None
    # cronsim goes back from before the time it is given; the second is added in UTC, since added to
    # a local time it would lose which of two equal ones it is.
    upper = (now.replace(microsecond=0) + timedelta(seconds=1)).astimezone(zone)
    if _follows_cronsim(campaign.cron):
        times = _aware(CronSim(campaign.cron, upper, reverse=True), zone)
        return next((occurrence for occurrence in times if occurrence.instant <= now), None)
    start = upper.replace(tzinfo=None, fold=0)
    if (now - OVERLAP).astimezone(zone).utcoffset() != upper.utcoffset():
        # The clock may have been set back: local times that are still ahead have been.
        start += OVERLAP
    found: Occurrence | None = None
    for occurrence in _naive(CronSim(campaign.cron, start, reverse=True), zone):
        # Times that a gap has swallowed share an instant: the first of them gives the name, as it
        # does going forward.
        if found is not None and occurrence.instant != found.instant:
            break
        if occurrence.instant <= now:
            found = occurrence
    return found


def _once(campaign: Campaign, zone: ZoneInfo) -> Occurrence:
    if campaign.local_at is not None:
        return Occurrence(campaign.local_at.isoformat(), at_local(campaign.local_at, zone))
    assert campaign.at is not None
    return Occurrence(campaign.at.isoformat(), campaign.at)


def _follows_cronsim(expression: str) -> bool:
    minute, hour = expression.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


def _aware(times: CronSim, zone: ZoneInfo) -> Iterator[Occurrence]:
    for at in times:
        instant = at.astimezone(UTC)
        # cronsim may name midnight where a gap begins the day: the instant knows better.
        local = instant.astimezone(zone)
        name = local.replace(tzinfo=None, fold=0).isoformat()
        if local.fold:
            # The second of two equal local times is another occurrence. Its name sorts after those
            # of the first pass (2026-10-25T02:59:59/02:30:00): names rise with time in a zone.
            last = change(instant - OVERLAP, instant, zone) - timedelta(seconds=1)
            name = f"{last.astimezone(zone):%Y-%m-%dT%H:%M:%S}/{local:%H:%M:%S}"
        yield Occurrence(name, instant)


def _naive(times: CronSim, zone: ZoneInfo) -> Iterator[Occurrence]:
    for local in times:
        yield Occurrence(local.isoformat(), at_local(local, zone))
