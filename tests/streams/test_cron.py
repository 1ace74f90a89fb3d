"""Campaigns in local time, held against a walk over all minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from streams import fields
from streams.cron import Occurrence, last_before, next_after
from streams.events import Campaign
from tests.streams import oracle
from tests.streams.oracle import DAY, minute

# Before, in and behind the gaps and overlaps of all zones, and the day's two ends.
TIMES = ("00:00", "00:30", "01:30", "02:00", "02:30", "03:00", "23:59")


def campaign(cron: str) -> Campaign:
    return Campaign(campaign_id="c", kind="tip", cron=cron)


def occurrences(of: Campaign, zone: ZoneInfo, start: datetime, end: datetime) -> list[Occurrence]:
    found = []
    at = start
    while (following := next_after(of, zone, at)) is not None and following.instant < end:
        assert following.instant > at
        found.append(following)
        at = following.instant
    return found


def hold_against_a_walk(
    zone: ZoneInfo, start: datetime, end: datetime, times: Sequence[str] = TIMES
) -> None:
    minutes = {text: int(text[:2]) * 60 + int(text[3:]) for text in times}
    expected = oracle.fixed(zone, minute(start), minute(end), frozenset(minutes.values()))
    for text, at in minutes.items():
        of = campaign(f"{at % 60} {at // 60} * * *")
        found = occurrences(of, zone, start, end)
        named = [(minute(datetime.fromisoformat(one.local)), minute(one.instant)) for one in found]
        where = f"{zone.key} {text} from {start}"
        assert named == expected[at], where
        for one in found:
            assert last_before(of, zone, one.instant) == one, where
        for one, after in pairwise(found):
            assert last_before(of, zone, after.instant - timedelta(microseconds=1)) == one, where


def test_every_zone_around_each_transition_agrees_with_a_minute_walk() -> None:
    for zone, changes in oracle.places():
        for change in changes:
            day = change.replace(hour=0, minute=0)
            hold_against_a_walk(zone, day - timedelta(days=2), day + timedelta(days=3))


def test_every_zone_on_an_ordinary_day_of_each_year_agrees_with_a_minute_walk() -> None:
    for zone, _ in oracle.places():
        for year in range(2024, 2032):
            start = datetime(year, 7, 17, tzinfo=UTC)
            hold_against_a_walk(zone, start, start + timedelta(days=1))


NAMED = [
    ("Pacific/Apia", datetime(2011, 12, 28, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 3, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 2, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 13, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 3, 20, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 27, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 10, 23, tzinfo=UTC)),
    ("Antarctica/Casey", datetime(2010, 3, 3, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 4, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 22, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 4, 22, tzinfo=UTC)),
]


@pytest.mark.parametrize(("name", "start"), NAMED)
def test_the_odd_zones_agree_with_a_minute_walk(name: str, start: datetime) -> None:
    times = [*TIMES, "01:45", "02:15", "12:00"]
    hold_against_a_walk(fields.zone(name), start, start + timedelta(days=5), times)


# Where the clock moves by something else than one hour, cronsim leaves out some of that day's.
WHOLE_HOURS = [case for case in NAMED if case[0] not in ("Australia/Lord_Howe", "Antarctica/Casey")]


@pytest.mark.parametrize(("name", "start"), WHOLE_HOURS)
@pytest.mark.parametrize(
    ("cron", "matches"),
    [
        ("*/15 * * * *", lambda at: at % 15 == 0),
        ("30 * * * *", lambda at: at % 60 == 30),
        ("*/20 2 * * *", lambda at: at % 20 == 0 and at % DAY // 60 == 2),
        ("* 0 * * *", lambda at: at % DAY // 60 == 0),
        ("10 */6 * * *", lambda at: at % 60 == 10 and at % DAY // 60 % 6 == 0),
    ],
)
def test_wildcards_fire_whenever_the_wall_clock_shows_them(
    name: str, start: datetime, cron: str, matches: Callable[[int], bool]
) -> None:
    zone, end = fields.zone(name), start + timedelta(days=4)
    found = occurrences(campaign(cron), zone, start, end)
    expected = oracle.every(zone, minute(start), minute(end), matches)
    assert [minute(one.instant) for one in found] == expected
    names = [one.local for one in found]
    assert names == sorted(set(names)), "names rise with time, so that the last one tells"
    for one in found:
        assert last_before(campaign(cron), zone, one.instant) == one
        assert last_before(campaign(cron), zone, one.instant + timedelta(seconds=59)) == one


def test_friday_evening_is_each_zones_own() -> None:
    start = datetime(2026, 11, 26, tzinfo=UTC)
    of = campaign("0 18 * * 5")
    berlin = next_after(of, ZoneInfo("Europe/Berlin"), start)
    tokyo = next_after(of, ZoneInfo("Asia/Tokyo"), start)
    assert berlin == ("2026-11-27T18:00:00", datetime(2026, 11, 27, 17, tzinfo=UTC))
    assert tokyo == ("2026-11-27T18:00:00", datetime(2026, 11, 27, 9, tzinfo=UTC))


def test_a_time_that_is_skipped_fires_at_the_next_valid_instant() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    found = next_after(campaign("30 2 * * *"), berlin, datetime(2026, 3, 29, tzinfo=UTC))
    assert found == ("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, tzinfo=UTC))


def test_a_time_that_comes_twice_fires_once_the_first_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    of = campaign("30 2 * * *")
    first = next_after(of, berlin, datetime(2026, 10, 25, tzinfo=UTC))
    assert first == ("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert next_after(of, berlin, first.instant) == (
        "2026-10-26T02:30:00",
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    )


def test_a_month_that_ends_in_a_skipped_day_is_not_skipped() -> None:
    # Samoa went from 29 to 31 December 2011: the 30th's noon is the 31st's first instant.
    found = next_after(
        campaign("0 12 30 * *"), ZoneInfo("Pacific/Apia"), datetime(2011, 12, 29, tzinfo=UTC)
    )
    assert found == ("2011-12-30T12:00:00", datetime(2011, 12, 30, 10, tzinfo=UTC))


def test_one_instant_is_the_same_for_all_and_passes_once() -> None:
    at = datetime(2026, 12, 31, 23, tzinfo=UTC)
    of = Campaign(campaign_id="c", kind="tip", at=at)
    for name in ("Asia/Tokyo", "America/Lima"):
        zone = fields.zone(name)
        assert next_after(of, zone, at - timedelta(seconds=1)) == (at.isoformat(), at)
        assert next_after(of, zone, at) is None
        assert last_before(of, zone, at - timedelta(seconds=1)) is None
        assert last_before(of, zone, at) == (at.isoformat(), at)


def test_one_local_time_comes_round_the_earth() -> None:
    of = Campaign(campaign_id="c", kind="tip", local_at=datetime(2026, 12, 31, 20))
    start = datetime(2026, 12, 30, tzinfo=UTC)
    tokyo = next_after(of, ZoneInfo("Asia/Tokyo"), start)
    lima = next_after(of, ZoneInfo("America/Lima"), start)
    assert tokyo == ("2026-12-31T20:00:00", datetime(2026, 12, 31, 11, tzinfo=UTC))
    assert lima == ("2026-12-31T20:00:00", datetime(2027, 1, 1, 1, tzinfo=UTC))


def test_the_29th_of_february_comes_every_four_years() -> None:
    found = next_after(campaign("0 9 29 2 *"), ZoneInfo("UTC"), datetime(2026, 1, 1, tzinfo=UTC))
    assert found == ("2028-02-29T09:00:00", datetime(2028, 2, 29, 9, tzinfo=UTC))
