"""Campaigns, windows and pauses, as ticks go by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.streams.world import World

LATE = {"user_id": "late", "email": "late@example.com"}
THURSDAY = datetime(2026, 11, 19, 12, tzinfo=UTC)


def at(text: str, zone: str = "UTC") -> datetime:
    """Return an instant from a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


async def world_of(zones: dict[str, str], start: datetime = THURSDAY) -> World:
    """Return a world at that time with people in those zones and ten films."""
    world = World()
    world.now = start
    await world.tick(start)
    for user, zone in zones.items():
        profile = {"user_id": user, "email": f"{user}@example.com", "timezone": zone}
        world.put("users", profile, key=user)
    for number in range(10):
        film = {"film_id": f"f{number}", "title": f"Film {number}", "genres": ["Drama"]}
        world.put("films", film, key=f"f{number}")
    await world.run()
    return world


def watched(user: str, when: datetime, film: str = "f1") -> dict[str, object]:
    return {"user_id": user, "film_id": film, "seconds": 3600, "at": when.isoformat()}


def sent(world: World, kind: str) -> list[str]:
    return sorted(job.user_id for job in world.jobs("outbox") if job.kind == kind)


async def test_the_friday_reminder_comes_at_six_in_the_evening_wherever_its_reader_lives() -> None:
    zones = {"tokyo": "Asia/Tokyo", "delhi": "Asia/Kolkata", "york": "America/New_York"}
    world = await world_of(zones)
    for user, zone in zones.items():
        due = at("2026-11-20 18:00", zone)
        await world.tick(due - timedelta(seconds=1))
        assert user not in sent(world, "weekly_reminder")
        await world.tick(due)
        assert user in sent(world, "weekly_reminder")
    assert sent(world, "weekly_reminder") == sorted(zones)


async def test_the_month_is_reported_on_the_first_at_ten_for_the_month_that_ended_there() -> None:
    zones = {"apia": "Pacific/Apia", "honolulu": "Pacific/Honolulu"}
    world = await world_of(zones)
    for user in zones:
        world.put("watch_history", watched(user, at("2026-11-20 10:00")))
    for hour in range(24 * 13):
        await world.tick(THURSDAY + timedelta(hours=hour))
    jobs = [job for job in world.jobs("outbox") if job.kind == "monthly_statistic"]
    assert {job.user_id: job.context["month"] for job in jobs} == dict.fromkeys(zones, "2026-11")
    when = {job.user_id: job.created_at for job in jobs}
    assert when["apia"] == at("2026-12-01 10:00", "Pacific/Apia")
    assert when["honolulu"] == at("2026-12-01 10:00", "Pacific/Honolulu")


async def test_after_a_pause_what_was_due_is_said_once_or_skipped_as_stale() -> None:
    world = await world_of({"ann": "Europe/Berlin"})
    await world.tick(at("2026-11-24 12:00"))
    assert sent(world, "weekly_reminder") == []
    (skip,) = [one for one in world.deliveries() if one.kind == "weekly_reminder"]
    assert skip.reason.startswith("stale: it was due at 2026-11-20T17:00")
    await world.tick(at("2026-11-28 09:00"))
    assert sent(world, "weekly_reminder") == ["ann"]


async def test_a_restart_says_nothing_again() -> None:
    world = await world_of({"ann": "Europe/Berlin"})
    friday = at("2026-11-20 18:00", "Europe/Berlin")
    await world.tick(friday)
    world.start()
    await world.tick(friday + timedelta(seconds=1))
    await world.tick(friday + timedelta(minutes=5))
    assert len(world.jobs("outbox")) == 1


async def test_someone_who_comes_after_the_hour_is_left_out_until_the_next() -> None:
    world = await world_of({"ann": "Europe/Berlin"})
    friday = at("2026-11-20 18:00", "Europe/Berlin")
    await world.tick(friday - timedelta(minutes=1))
    late = {"user_id": "late", "email": "late@example.com", "timezone": "Europe/Berlin"}
    await world.tick(friday + timedelta(minutes=1))
    world.put("users", late, key="late")
    await world.run()
    await world.tick(friday + timedelta(hours=2))
    assert sent(world, "weekly_reminder") == ["ann"]
    await world.tick(friday + timedelta(days=7))
    assert sent(world, "weekly_reminder") == ["ann", "ann", "late"]


async def test_someone_who_comes_at_the_very_second_after_its_tick_is_left_out_too() -> None:
    world = await world_of({"ann": "Asia/Kolkata"})
    await world.tick(at("2026-11-20 18:00", "Asia/Kolkata"))
    # The registration alone names no zone: the profile that follows is a first zone, not a move.
    world.put("registration", {"event": "send_greeting", "username": "B", **LATE})
    await world.run()
    world.put("users", {**LATE, "timezone": "Asia/Kolkata"}, key="late")
    await world.run()
    await world.tick(at("2026-11-20 18:01", "Asia/Kolkata"))
    assert sent(world, "weekly_reminder") == ["ann"]


async def test_who_comes_while_a_campaign_walks_is_left_out_however_far_it_is() -> None:
    # Both live in one partition.
    world = await world_of({"zoe": "Asia/Kolkata"})
    world.bulk_lag = 6000
    await world.tick(at("2026-11-20 18:00", "Asia/Kolkata"))
    world.put("users", {**LATE, "timezone": "Asia/Kolkata"}, key="late")
    await world.run()
    world.bulk_lag = 0
    await world.run()
    assert sent(world, "weekly_reminder") == ["zoe"]


async def test_a_first_tick_catches_up_from_the_first_record_on() -> None:
    world = World()
    world.now = THURSDAY
    world.put("films", {"film_id": "f", "title": "F"}, key="f")
    user = {"user_id": "ann", "email": "ann@example.com", "timezone": "UTC"}
    world.put("users", user, key="ann")
    await world.run()
    await world.tick(at("2026-11-20 18:00"))
    assert sent(world, "weekly_reminder") == ["ann"]


async def test_a_mail_at_night_waits_for_the_window_and_is_spread_over_its_first_minutes() -> None:
    world = await world_of({"ann": "Asia/Tokyo"})
    night = at("2026-11-20 02:00", "Asia/Tokyo")
    await world.tick(night)
    world.put("bookmarks", {"user_id": "ann", "series_id": "s", "added": True})
    await world.run()
    episode = {"series_id": "s", "serial_name": "S", "link": "http://cinema.example/s"}
    world.put("episodes", episode, partition=0)
    await world.run()
    opened = at("2026-11-20 09:00", "Asia/Tokyo")
    (held,) = world.held()
    assert opened <= held.not_before < opened + timedelta(minutes=5)  # type: ignore[operator]
    assert [job.channel for job in world.jobs("outbox")] == ["websocket"]
    await world.tick(opened - timedelta(minutes=1))
    assert len(world.jobs("outbox")) == 1
    await world.tick(opened + timedelta(minutes=5))
    mails = [job for job in world.jobs("outbox") if job.channel == "email"]
    assert [job.job_id for job in mails] == [held.job_id]


async def test_who_unsubscribes_while_a_mail_waits_does_not_get_it() -> None:
    world = await world_of({"ann": "Asia/Tokyo"})
    await world.tick(at("2026-11-20 02:00", "Asia/Tokyo"))
    world.put("weekly_reminder", {"event": "send_reminder", "users": ["ann"]}, partition=0)
    await world.run()
    (held,) = world.held()
    world.put("preferences", {"user_id": "ann", "unsubscribe": ["weekly_reminder"]})
    await world.run()
    await world.tick(at("2026-11-20 10:00", "Asia/Tokyo"))
    assert world.jobs("outbox") == []
    statuses = [(one.status, one.reason) for one in world.deliveries()]
    assert ("skipped", "unsubscribed") in statuses
    assert {one.job_id for one in world.deliveries()} == {held.job_id}


@pytest.mark.parametrize(
    ("old", "new"),
    [("Asia/Tokyo", "America/New_York"), ("America/New_York", "Asia/Tokyo")],
    ids=["west", "east"],
)
async def test_a_move_between_two_firings_neither_repeats_nor_drops_one(old: str, new: str) -> None:
    world = await world_of({"ann": old})
    moment = at("2026-11-20 12:00")
    await world.tick(moment)
    world.put("preferences", {"user_id": "ann", "timezone": new}, at=moment)
    await world.run()
    for hour in range(72):
        await world.tick(moment + timedelta(hours=hour))
    assert sent(world, "weekly_reminder") == ["ann"]


async def test_a_campaign_fires_in_each_zone_and_obeys_its_audience() -> None:
    zones = {"ann": "Europe/Berlin", "bob": "Asia/Tokyo", "cid": "Asia/Tokyo"}
    world = await world_of(zones)
    world.put("watch_history", watched("ann", THURSDAY - timedelta(days=2)))
    world.put("watch_history", watched("bob", THURSDAY - timedelta(days=40)))
    campaign = {
        "campaign_id": "noir",
        "kind": "tip",
        "cron": "0 12 * * *",
        "audience": {"watched": {"genre": "Drama", "days": 30}},
    }
    world.put("campaigns", campaign, key="noir", partition=0)
    await world.run()
    await world.tick(at("2026-11-20 13:00", "Europe/Berlin"))
    assert set(sent(world, "tip")) == {"ann"}
    assert {job.channel for job in world.jobs("outbox")} == {"email", "websocket"}


async def test_a_disabled_campaign_is_silent_and_a_deleted_built_in_one_comes_back() -> None:
    world = await world_of({"ann": "UTC"})
    off = {
        "campaign_id": "weekly_reminder",
        "kind": "weekly_reminder",
        "cron": "0 18 * * 5",
        "enabled": False,
    }
    world.put("campaigns", off, key="weekly_reminder", partition=1)
    await world.run()
    await world.tick(at("2026-11-20 18:00"))
    assert sent(world, "weekly_reminder") == []
    world.now += timedelta(seconds=1)
    world.put("campaigns", None, key="weekly_reminder", partition=1)
    await world.run()
    await world.tick(at("2026-11-27 18:00"))
    assert sent(world, "weekly_reminder") == ["ann"]


async def test_a_one_off_at_a_local_time_goes_round_the_earth_and_skips_zones_it_is_late_for() -> (
    None
):
    zones = {"tokyo": "Asia/Tokyo", "york": "America/New_York"}
    world = await world_of(zones, THURSDAY - timedelta(hours=6))
    await world.tick(THURSDAY)
    campaign = {"campaign_id": "gala", "kind": "tip", "local_at": "2026-11-19T20:00:00"}
    world.put("campaigns", campaign, key="gala", partition=0)
    await world.run()
    await world.tick(THURSDAY + timedelta(seconds=1))
    (skip,) = [one for one in world.deliveries() if one.kind == "tip"]
    assert skip.user_id == "tokyo"
    assert "came after its time" in skip.reason
    await world.tick(at("2026-11-19 20:00", "America/New_York"))
    assert set(sent(world, "tip")) == {"york"}
    world.start()
    await world.tick(at("2026-11-19 20:10", "America/New_York"))
    assert len([one for one in world.deliveries() if one.kind == "tip"]) == 1


async def test_a_walk_waits_while_the_bulk_lane_is_behind() -> None:
    world = await world_of({f"u{number}": "UTC" for number in range(20)})
    world.bulk_lag = 5001
    await world.tick(at("2026-11-20 18:00"))
    assert sent(world, "weekly_reminder") == []
    world.bulk_lag = 0
    await world.tick(at("2026-11-20 18:01"))
    assert len(sent(world, "weekly_reminder")) == 20


async def test_a_walk_through_many_goes_on_where_a_kill_left_it() -> None:
    world = await world_of({f"u{number}": "UTC" for number in range(1200)})
    world.log.kill_at = 5
    from tests.streams.world import Killed

    with pytest.raises(Killed):
        await world.tick(at("2026-11-20 18:00"))
    world.start()
    await world.run()
    assert len(sent(world, "weekly_reminder")) == 1200
    assert world.job_ids() == {"weekly_reminder": 1200}


async def test_walks_take_turns_so_that_a_small_one_is_done_before_a_large_one() -> None:
    world = await world_of({f"u{number}": "UTC" for number in range(2000)})
    for user in range(40):
        world.put("bookmarks", {"user_id": f"u{user}", "series_id": "s", "added": True})
    await world.run()
    world.put("weekly_reminder", {"event": "send_reminder"}, partition=0)
    episode = {"series_id": "s", "serial_name": "S", "link": "http://cinema.example/s"}
    world.put("episodes", episode, partition=0)
    await world.run()
    kinds = [job["kind"] for job in world.values("outbox")]
    assert kinds.count("weekly_reminder") == 2000
    last_episode = max(index for index, kind in enumerate(kinds) if kind == "episode")
    assert kinds[:last_episode].count("weekly_reminder") < 2000


async def test_a_pause_in_which_more_came_due_than_one_write_holds_is_caught_up() -> None:
    places = ("Asia/Tokyo", "Europe/Berlin", "America/Lima", "Asia/Kolkata")
    world = await world_of({place: place for place in places})
    for number in range(3):
        name = f"often-{number}-{'x' * 200}"
        campaign = {"campaign_id": name, "cron": "*/2 * * * *", "kind": "activity"}
        world.put("campaigns", campaign | {"context": {"body": "hi"}}, key=name, partition=0)
    await world.run()
    await world.tick(THURSDAY + timedelta(hours=30))
    assert world.values("dead_letters") == []
    jobs = [job for job in world.jobs("outbox_urgent") if job.kind == "activity"]
    assert len(jobs) == 3 * 30 * 30 * len(places)
    assert {job.created_at for job in jobs} == {THURSDAY + timedelta(hours=30)}


async def test_a_one_off_that_is_edited_after_a_week_is_not_said_to_have_come_late() -> None:
    world = await world_of({"ann": "UTC"})
    campaign = {"campaign_id": "gala", "kind": "tip", "at": "2026-11-19T13:00:00Z"}
    world.put("campaigns", campaign, key="gala", partition=0)
    await world.run()
    for day in range(10):
        await world.tick(at("2026-11-19 13:00") + timedelta(days=day))
    edited = {**campaign, "context": {"title": "Gala"}}
    world.put("campaigns", edited, key="gala", partition=0, at=world.now)
    await world.run()
    await world.tick(world.now + timedelta(seconds=1))
    assert set(sent(world, "tip")) == {"ann"}
    assert [
        one for one in world.deliveries() if one.kind == "tip" and one.status == "skipped"
    ] == []


async def test_who_moves_into_an_audience_is_not_told_what_was_said_before() -> None:
    world = await world_of({"ann": "Europe/Berlin"})
    audience = {"timezones": ["Asia/Tokyo"]}
    tokyo = {"campaign_id": "tokyo", "kind": "tip", "cron": "0 18 * * *", "audience": audience}
    world.put("campaigns", tokyo, key="tokyo", partition=0)
    await world.run()
    # Both Berlin and Tokyo had their Thursday evening.
    await world.tick(at("2026-11-20 17:00", "Asia/Tokyo"))
    world.put("preferences", {"user_id": "ann", "timezone": "Asia/Tokyo"}, at=world.now)
    await world.run()
    assert sent(world, "tip") == []
    await world.tick(at("2026-11-20 18:00", "Asia/Tokyo"))
    assert set(sent(world, "tip")) == {"ann"}


async def test_who_moves_while_the_old_zones_walk_has_not_come_to_them_is_told_once() -> None:
    world = await world_of({"ann": "Europe/Berlin", "bob": "Europe/Berlin"})
    world.bulk_lag = 5001
    await world.tick(at("2026-11-20 18:00", "Europe/Berlin"))
    for user, zone in (("ann", "Europe/Moscow"), ("bob", "America/Lima")):
        world.put("preferences", {"user_id": user, "timezone": zone}, at=world.now)
    await world.run()
    assert sent(world, "weekly_reminder") == ["ann"]
    world.bulk_lag = 0
    for hour in range(1, 24):
        await world.tick(at("2026-11-20 18:00", "Europe/Berlin") + timedelta(hours=hour))
    assert sent(world, "weekly_reminder") == ["ann", "bob"]


async def test_what_came_due_before_is_said_before_whatever_walk_has_its_turn() -> None:
    world = await world_of({"ann": "UTC"})
    daily = {"campaign_id": "daily", "kind": "tip", "cron": "0 18 * * *"}
    world.put("campaigns", daily, key="daily", partition=0)
    await world.run()
    world.bulk_lag = 5001
    await world.tick(THURSDAY + timedelta(days=2))
    assert world.tables("ann").walks.number_open == 3
    world.tables("ann").walks.next()
    world.bulk_lag = 0
    await world.run()
    said = {job.cause.event_id for job in world.jobs("outbox") if job.kind == "tip"}
    assert said == {"daily@2026-11-19T18:00:00", "daily@2026-11-20T18:00:00"}


async def test_a_reminder_belongs_to_its_hours_week_and_not_to_the_movers_new_day() -> None:
    world = await world_of({"ann": "Europe/Berlin"})
    sunday = {"campaign_id": "sunday", "kind": "weekly_reminder", "cron": "30 23 * * 0"}
    world.put("campaigns", sunday, key="sunday", partition=0)
    off = {"campaign_id": "weekly_reminder", "kind": "weekly_reminder", "cron": "0 18 * * 5"}
    world.put("campaigns", off | {"enabled": False}, key="weekly_reminder", partition=0)
    await world.run()
    # It is Sunday, 23:30 in Berlin, Ann is not reached yet, and it is Monday in Moscow.
    world.bulk_lag = 5001
    await world.tick(at("2026-11-22 23:30", "Europe/Berlin"))
    world.put("preferences", {"user_id": "ann", "timezone": "Europe/Moscow"}, at=world.now)
    await world.run()
    (job,) = world.held()
    assert job.context["week"] == "2026-W47"


async def test_who_leaves_a_zone_whose_walks_wait_is_told_all_that_was_due_there() -> None:
    world = await world_of({"ann": "Europe/Berlin", "bob": "Europe/Berlin"})
    daily = {"campaign_id": "daily", "kind": "tip", "cron": "0 18 * * *"}
    world.put("campaigns", daily, key="daily", partition=0)
    await world.run()
    world.bulk_lag = 5001
    await world.tick(at("2026-11-21 12:00"))
    for user, zone in (("ann", "Europe/Moscow"), ("bob", "America/Lima")):
        world.put("preferences", {"user_id": user, "timezone": zone}, at=world.now)
    await world.run()
    world.bulk_lag = 0
    await world.run()
    said = [
        (job.user_id, job.cause.event_id)
        for job in world.jobs("outbox")
        if job.kind == "tip" and job.channel == "websocket"
    ]
    days = ("daily@2026-11-19T18:00:00", "daily@2026-11-20T18:00:00")
    assert sorted(said) == [(user, day) for user in ("ann", "bob") for day in days]
