"""Campaigns: what is said to an audience at each recipient's own hour, and the two built-in ones.

An occurrence of a campaign is its id and a naive local time. Each user keeps the occurrences that
were theirs, so a move to another zone neither repeats nor drops one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec

from agents.audience import in_audience
from agents.reminders import tip, weekly_reminder
from agents.statistics import monthly_statistic
from streams import kinds, topics
from streams.decisions import Arrival, Decision, notify, partition_agent, skip
from streams.events import Audience, Campaign
from streams.fields import zone
from streams.jobs import Cause
from tables.months import month_before
from tables.partition import Tables
from tables.person import UserRow
from tables.schedules import ScheduleRow
from tables.walks import WalkRow

# Before there is any campaign on the topic these two hold; a record of the same id replaces them.
BUILT_IN: Final = (
    Campaign(campaign_id="weekly_reminder", kind="weekly_reminder", cron="0 18 * * 5"),
    Campaign(campaign_id="monthly_statistic", kind="monthly_statistic", cron="0 10 1 * *"),
)

# One that is deleted and comes again begins anew: only a move can come to the same local time
# again, within a day or so.
MARKS_KEPT: Final = timedelta(days=7)

# What a kind's own template looks at and a campaign's context need not give (docs/contexts.md).
OPTIONAL: Final[dict[str, dict[str, Any]]] = {
    "welcome": {"redirect": None},
    "letter": {"text": "", "body": ""},
    "episode": {"season": None, "episode": None, "link_out": None},
}


@partition_agent(topics.CAMPAIGNS)
def schedule(
    event: Campaign | None, key: str | None, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Keep a campaign, or forget it; a built-in one that is deleted comes back as it was."""
    yield from ()
    at = arrival.at.timestamp()
    name = (key or "") if event is None else event.campaign_id
    known = tables.schedules.get(name)
    if known is not None and known.at > at:
        return
    if event is not None:
        # The same again is no change: the zones that had it have had it.
        since = known.since if known and _same(known.campaign, event) else arrival.now
        tables.schedules[name] = ScheduleRow(event, since, at)
    elif known is not None:
        del tables.schedules[name]


def campaigns(tables: Tables) -> dict[str, Campaign]:
    """Return the campaigns as they stand, the built-in ones among them."""
    found = {campaign.campaign_id: campaign for campaign in BUILT_IN}
    for key, row in tables.schedules.rows.items():
        found[key] = row.campaign
    return found


def come_to(
    user: UserRow, walk: WalkRow, campaign: Campaign, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Say a campaign's occurrence to a person whom its walk has come to.

    Not where the campaign came after its time: that is the reason, unless it had been said before.
    """
    assert walk.occurrence is not None and walk.due is not None
    if not walk.late:
        yield from fire(campaign, user, walk.occurrence, walk.due, tables, arrival)
        return
    if user.fired.get(_mark(campaign)) == walk.occurrence:
        return
    audience = campaign.audience
    if audience == "all" or in_audience(audience, user, tables, arrival, walk.due):
        reason = f"the campaign came after its time in {walk.zone}"
        yield skip(user, kinds.KINDS[campaign.kind], reason, arrival)


def fire(
    campaign: Campaign,
    user: UserRow,
    occurrence: str,
    due: datetime,
    tables: Tables,
    arrival: Arrival,
) -> Iterator[Decision]:
    """Say a campaign's occurrence to one person, if it is for them and was not said yet."""
    name, mark = campaign.campaign_id, _mark(campaign)
    if user.has_fired(mark, occurrence):
        return
    if campaign.audience != "all" and not in_audience(
        campaign.audience, user, tables, arrival, due
    ):
        return
    if mark not in user.fired:
        user = msgspec.structs.replace(user, fired=standing(user.fired, tables, arrival.now))
    tables.users[user.user_id] = user = user.firing(mark, occurrence)
    day = _day(campaign, user, occurrence, due, arrival)
    if campaign.kind == kinds.WEEKLY_REMINDER.name:
        yield from weekly_reminder(user, tables, arrival, due, day, campaign)
    elif campaign.kind == kinds.MONTHLY_STATISTIC.name:
        month = month_before(f"{day:%Y-%m}")
        yield from monthly_statistic(user, tables, arrival, month, due, campaign)
    else:
        yield from notify(
            user,
            kinds.KINDS[campaign.kind],
            f"{name}@{occurrence}",
            _context(campaign, user, tables, day),
            arrival,
            due=due,
            template=campaign.template,
        )


def standing(fired: dict[str, str], tables: Tables, now: datetime) -> dict[str, str]:
    """Return a person's marks without those of campaigns that were deleted long ago."""
    horizon = (now - MARKS_KEPT).date().isoformat()
    built_in = {campaign.campaign_id for campaign in BUILT_IN}
    return {
        mark: occurrence
        for mark, occurrence in fired.items()
        if occurrence >= horizon
        or any(
            name in tables.schedules or name in built_in for name in (mark, mark.removesuffix("@"))
        )
    }


def was_there(user: UserRow, due: datetime) -> bool:
    """Tell whether someone was known when that came due.

    Who comes after the tick of a firing has that tick's time, which may be the firing's own.
    """
    return user.known_since is not None and user.known_since < due


def firing(arrival: Arrival, campaign_id: str, occurrence: str) -> Arrival:
    """Return the arrival of a campaign's occurrence, whatever brought it."""
    cause = firing_cause(campaign_id, occurrence, arrival.partition)
    return msgspec.structs.replace(arrival, cause=cause, identity=f"{campaign_id}@{occurrence}")


def firing_cause(campaign_id: str, occurrence: str, partition: int) -> Cause:
    """Return the cause of what a schedule says: no record, but the campaign's occurrence."""
    return Cause("campaigns", partition, -1, f"{campaign_id}@{occurrence}")


def _same(one: Campaign, other: Campaign) -> bool:
    return msgspec.structs.replace(one, event_id=None) == msgspec.structs.replace(
        other, event_id=None
    )


def _mark(campaign: Campaign) -> str:
    # A campaign may be given another form: local times and one instant do not compare.
    return campaign.campaign_id if campaign.at is None else f"{campaign.campaign_id}@"


def _day(
    campaign: Campaign, user: UserRow, occurrence: str, due: datetime, arrival: Arrival
) -> date:
    """Return an occurrence's local day: its name's, whatever the day in a zone moved to since."""
    if campaign.at is None:
        return datetime.fromisoformat(occurrence.partition("/")[0]).date()
    return due.astimezone(zone(user.timezone(arrival.settings.default_timezone))).date()


def _context(campaign: Campaign, user: UserRow, tables: Tables, day: date) -> dict[str, Any]:
    context: dict[str, Any] = {
        "username": user.username,
        "campaign_id": campaign.campaign_id,
        **OPTIONAL.get(campaign.kind, {}),
        **campaign.context,
    }
    if campaign.kind == kinds.TIP.name and "film" not in context:
        watched = campaign.audience.watched if isinstance(campaign.audience, Audience) else None
        context["film"] = tip(user.user_id, watched.genre if watched else None, day, tables)
    return context
