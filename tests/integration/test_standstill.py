"""Three days in which no tick came, over a change of the clocks: what was due is caught up once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.integration.cinema import Cinema
from tests.integration.test_restarts import back, killed

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

# One of them changes its clock within three months, whenever the other tests have come to.
ZONES = ("Africa/Casablanca", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
HALF = timedelta(minutes=15)


def next_change(after: datetime) -> tuple[datetime, ZoneInfo]:
    """Return the first change of a clock after that, and the zone that it comes in."""
    found = []
    for zone in map(ZoneInfo, ZONES):
        at = after.replace(minute=0, second=0, microsecond=0)
        while at.astimezone(zone).utcoffset() == (at + HALF).astimezone(zone).utcoffset():
            at += HALF
        found.append((at + HALF, zone))
    return min(found, key=lambda one: one[0])


async def test_three_days_without_a_tick_over_a_change_of_the_clocks_are_caught_up_once(
    cinema: Cinema,
) -> None:
    change, zone = next_change(cinema.now + timedelta(days=2))
    start, end = change - timedelta(hours=36), change + timedelta(hours=36)
    await cinema.tick(start)
    user = await cinema.person(timezone=zone.key)
    for _ in range(2):
        await cinema.film()
    # A local time that does not exist on that day, or comes twice.
    wall = [(change + span).astimezone(zone) for span in (-HALF, HALF)]
    is_gap = wall[1].utcoffset() > wall[0].utcoffset()  # type: ignore[operator]
    odd = wall[0] + (HALF + timedelta(minutes=5) if is_gap else timedelta(0))
    # An inbox entry never expires, a tip after three days, a reminder after one.
    campaigns = {
        "activity": f"{odd.minute} {odd.hour} * * *",
        "tip": "0 18 * * *",
        "weekly_reminder": "0 17 * * *",
    }
    for kind, cron in campaigns.items():
        name, audience = cinema.name(kind), {"users": [user]}
        campaign = {"campaign_id": name, "kind": kind, "cron": cron, "audience": audience}
        await cinema.send("campaigns", campaign | {"context": {"body": "hi"}}, name)
    await cinema.settle()

    old = cinema.up.pids
    for partition in range(cinema.partitions):
        await cinema.send("clock", {"at": end.isoformat()}, partition=partition)
    await killed(cinema)
    await back(cinema, old)
    cinema.now = end
    await cinema.settle()

    def occurrences(kind: str) -> Counter[str]:
        names = (job["cause"]["event_id"] for job in cinema.jobs(user, kind))
        return Counter(name.partition("@")[2] for name in names)

    due = {kind: days(cron, start, end, zone) for kind, cron in campaigns.items()}
    assert min(map(len, due.values())) >= 3
    for kind, channels in (("activity", 1), ("tip", 2)):
        assert occurrences(kind) == dict.fromkeys(due[kind], channels), kind
    (reminder,) = cinema.jobs(user, "weekly_reminder")
    stale = [reason for status, reason in cinema.deliveries(user, "weekly_reminder") if reason]
    assert sum(reason.startswith("stale: it was due") for reason in stale) >= 2
    assert reminder["cause"]["event_id"].partition("@")[2] == due["weekly_reminder"][-1]

    ids = {job["job_id"] for job in cinema.jobs(user)}
    skips = cinema.deliveries(user).count
    skipped = [skips(("skipped", reason)) for reason in stale]
    old = cinema.up.pids
    await killed(cinema)
    await back(cinema, old)
    await cinema.advance(minutes=1)
    assert {job["job_id"] for job in cinema.jobs(user)} == ids
    assert [cinema.deliveries(user).count(("skipped", reason)) for reason in stale] == skipped
    unread = (await cinema.frames(user, 0))[0]["unread"]
    assert unread == len(due["activity"]) + len(due["tip"])
    mails = [mail.message_id for mail in await cinema.mails(f"{user}@example.com")]
    assert len(mails) == len(set(mails))


def days(cron: str, start: datetime, end: datetime, zone: ZoneInfo) -> list[str]:
    """Return the local times in (start, end] of a cron with one time a day."""
    minute, hour = map(int, cron.split()[:2])
    found = []
    for number in range(-1, 5):
        day = (start + timedelta(days=number)).astimezone(zone)
        local = datetime(day.year, day.month, day.day, hour, minute)
        if start < local.replace(tzinfo=zone).astimezone(UTC) <= end:
            found.append(local.isoformat())
    return found
