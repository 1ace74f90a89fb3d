"""Campaigns at each recipient's own hour, the delivery window, and the clock."""

from __future__ import annotations

import re
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.integration.cinema import Cinema

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_a_tip_reaches_its_audience_at_each_ones_own_hour(cinema: Cinema) -> None:
    await cinema.to_daytime()
    name, genre = cinema.name("tip"), cinema.name("genre")
    east = await cinema.person(timezone="Asia/Kolkata")
    west = await cinema.person(timezone="America/Lima")
    other = await cinema.person(timezone="Asia/Kolkata")
    seen, best = await cinema.film(genres=[genre]), await cinema.film(genres=[genre], rating=9)
    for user in (east, west):
        await cinema.watch(user, seen, cinema.now)
    day = cinema.now + timedelta(days=1)
    campaign = {
        "campaign_id": name,
        "kind": "tip",
        "local_at": f"{day:%Y-%m-%d}T11:30:00",
        "audience": {"watched": {"genre": genre, "days": 30}},
        "context": {"title": "Friday night"},
    }
    await cinema.send("campaigns", campaign, name)
    await cinema.settle()
    listed = {one["campaign_id"]: one for one in await cinema.get("/campaigns")}
    assert listed[name]["audience_now"] == 2
    assert listed[name]["next"]["Asia/Kolkata"] == f"{day:%Y-%m-%d}T06:00:00Z"
    assert listed[name]["next"]["America/Lima"] == f"{day:%Y-%m-%d}T16:30:00Z"
    await cinema.tick(day.replace(hour=5, minute=59))
    assert cinema.jobs(east, "tip") == []
    await cinema.tick(day.replace(hour=6, minute=1))
    assert len(cinema.jobs(east, "tip")) == 2 and cinema.jobs(west, "tip") == []
    await cinema.tick(day.replace(hour=16, minute=31))
    assert len(cinema.jobs(west, "tip")) == 2 and cinema.jobs(other, "tip") == []
    (mail,) = [
        mail for mail in await cinema.mails(f"{east}@example.com") if mail.subject == "Friday night"
    ]
    assert f"The {best}" in mail.text
    (_, entry) = await cinema.frames(west, 1)
    assert entry["kind"] == "tip" and entry["title"] == "Friday night"


async def test_the_page_of_campaigns_says_when_and_for_whom(cinema: Cinema) -> None:
    name, user = cinema.name("page"), await cinema.person(timezone="Asia/Kolkata")
    at = (cinema.now + timedelta(days=400)).replace(hour=20, minute=0)
    audience = {"users": [user, "nobody"], "watched": {"genre": "noir", "days": 7}}
    for number, when in enumerate(
        ({"at": at.isoformat()}, {"local_at": f"{at:%Y-%m-%d}T21:00:00"}, {"cron": "0 12 24 12 *"})
    ):
        campaign_id = f"{name}-{number}"
        campaign = {"campaign_id": campaign_id, "kind": "tip", "audience": audience, **when}
        await cinema.send("campaigns", campaign, campaign_id)
    await cinema.settle()
    headers = {
        "Authorization": f"Bearer {cinema.up.addresses.api_key}",
        "Accept": "text/html",
        "Accept-Language": "en",
    }
    async with cinema.http.get(f"{cinema.streams}/campaigns", headers=headers) as page:
        assert page.content_type == "text/html"
        text = " ".join(re.sub(r"<[^>]*>", " ", await page.text()).split())
    _, *found = text.split(f"{name}-")
    for part, said, local in zip(
        found,
        (f"{at:%Y-%m-%d}T20:00:00Z", f"{at:%Y-%m-%d}T21:00:00", "0 12 24 12 *"),
        (f"{at + timedelta(hours=5):%Y-%m-%d} 01:30", f"{at:%Y-%m-%d} 21:00", "12-24 12:00"),
        strict=True,
    ):
        assert said in part
        assert "ids named: 2 watched: genre noir, days back: 7 Would reach now 0" in part
        assert f"{local} +05:30" in part
    for number in range(3):
        await cinema.send("campaigns", None, f"{name}-{number}")


async def test_a_campaign_is_changed_disabled_and_deleted(cinema: Cinema) -> None:
    name, user = cinema.name("campaign"), await cinema.person()
    campaign = {
        "campaign_id": name,
        "kind": "activity",
        "cron": "*/10 * * * *",
        "audience": {"users": [user]},
        "context": {"body": "one"},
    }
    await cinema.send("campaigns", campaign, name)
    await cinema.advance(minutes=10)
    assert [job["context"]["body"] for job in cinema.jobs(user)] == ["one"]
    await cinema.send("campaigns", campaign | {"context": {"body": "two"}}, name)
    await cinema.advance(minutes=10)
    assert [job["context"]["body"] for job in cinema.jobs(user)] == ["one", "two"]
    await cinema.send("campaigns", campaign | {"enabled": False}, name)
    await cinema.advance(minutes=10)
    assert len(cinema.jobs(user)) == 2
    await cinema.send("campaigns", None, name)
    await cinema.advance(minutes=10)
    assert len(cinema.jobs(user)) == 2
    assert name not in {one["campaign_id"] for one in await cinema.get("/campaigns")}


async def test_the_built_in_reminder_comes_on_friday_at_six_in_each_zone(cinema: Cinema) -> None:
    users = {zone: await cinema.person(timezone=zone) for zone in ("Asia/Tokyo", "Europe/Berlin")}
    await cinema.film()
    days = (4 - cinema.now.weekday()) % 7 or 7
    friday = (cinema.now + timedelta(days=days)).replace(hour=0, minute=0)
    await cinema.tick(friday)
    for zone, user in users.items():
        due = friday.replace(hour=18, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        await cinema.tick(due - timedelta(minutes=1))
        assert cinema.jobs(user, "weekly_reminder") == []
        await cinema.tick(due)
        assert len(cinema.jobs(user, "weekly_reminder")) == 1


async def test_a_mail_waits_for_the_window_and_the_inbox_does_not(cinema: Cinema) -> None:
    day = cinema.now + timedelta(days=1)
    await cinema.tick(day.replace(hour=23, minute=0))
    series = cinema.name("series")
    user, gone = [await cinema.person(timezone="UTC") for _ in range(2)]
    quiet = await cinema.person(timezone="UTC", quiet_hours={"from": "08:00", "to": "11:00"})
    for one in (user, gone, quiet):
        bookmark = {"user_id": one, "series_id": series, "added": True}
        await cinema.send("bookmarks", bookmark, one)
    await cinema.settle()
    episode = {"series_id": series, "serial_name": "Late Show", "link": "https://c.example/l"}
    await cinema.send("episodes", episode, series)
    found = await cinema.settle()
    assert len((await cinema.frames(user, 1))[1:]) == 1
    ((waits, reason), *_) = [one for one in cinema.deliveries(user) if one[0] == "deferred"]
    assert waits == "deferred" and "waits for the delivery window" in reason
    assert found.total("cinema_deferred") >= 3
    assert await cinema.mails(f"{user}@example.com") == []
    await cinema.send("preferences", {"user_id": gone, "unsubscribe": ["episode"]}, gone)
    await cinema.tick((cinema.now + timedelta(days=1)).replace(hour=9, minute=6))
    (mail,) = await cinema.mails(f"{user}@example.com")
    assert "Late Show" in mail.subject
    assert ("skipped", "unsubscribed") in cinema.deliveries(gone)
    assert await cinema.mails(f"{gone}@example.com") == []
    assert await cinema.mails(f"{quiet}@example.com") == []
    await cinema.tick(cinema.now.replace(hour=11, minute=6))
    assert len(await cinema.mails(f"{quiet}@example.com")) == 1


async def test_what_waited_too_long_expires(cinema: Cinema) -> None:
    name = cinema.name("campaign")
    user = await cinema.person(timezone="UTC")
    day = cinema.now + timedelta(days=1)
    await cinema.tick(day.replace(hour=23, minute=0))
    await cinema.film()
    await cinema.settle()
    await cinema.send("weekly_reminder", {"event": "send_reminder", "users": [user]})
    await cinema.settle()
    assert [status for status, _ in cinema.deliveries(user, "weekly_reminder")] == ["deferred"]
    await cinema.tick(cinema.now + timedelta(hours=25))
    (_, (status, reason)) = cinema.deliveries(user, "weekly_reminder")
    assert status == "skipped" and reason.startswith("expired at"), name


async def test_time_never_goes_back(cinema: Cinema) -> None:
    user, name = await cinema.person(), cinema.name("campaign")
    campaign = {
        "campaign_id": name,
        "kind": "activity",
        "cron": "0 * * * *",
        "audience": {"users": [user]},
        "context": {"body": "the hour"},
    }
    await cinema.tick((cinema.now + timedelta(hours=1)).replace(minute=30))
    await cinema.send("campaigns", campaign, name)
    await cinema.tick(cinema.now + timedelta(hours=1))
    now = cinema.now
    assert len(cinema.jobs(user)) == 1
    await cinema.tick(now - timedelta(hours=3))
    await cinema.tick(now)
    assert len(cinema.jobs(user)) == 1
    await cinema.send("campaigns", None, name)
    await cinema.settle()


async def test_downtime_of_the_clock_is_caught_up_and_what_is_stale_says_so(
    cinema: Cinema,
) -> None:
    user, name = await cinema.person(), cinema.name("campaign")
    campaign = {
        "campaign_id": name,
        "kind": "tip",
        "at": (cinema.now + timedelta(hours=1)).isoformat(),
        "audience": {"users": [user]},
        "context": {"title": "Old news"},
    }
    await cinema.send("campaigns", campaign, name)
    await cinema.advance(days=4)
    ((status, reason),) = cinema.deliveries(user, "tip")
    assert status == "skipped" and reason.startswith("stale")
