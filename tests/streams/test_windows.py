"""When a mail that can wait may go, held against a walk over all minutes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import fields
from streams.fields import QuietHours
from streams.settings import Window
from streams.windows import SPREAD, at_local, opens, spread
from tests.streams import oracle
from tests.streams.oracle import DAY, minute

BERLIN = ZoneInfo("Europe/Berlin")
DAYTIME = Window(time(9), time(21))
ZONES = [
    "Europe/Berlin",
    "America/Santiago",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Asia/Kathmandu",
]
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
# Days on which one of these zones sets its clock, and others.
instants = st.builds(
    lambda start, minutes: start + timedelta(minutes=minutes),
    st.sampled_from(
        [
            datetime(2026, 3, 28, tzinfo=UTC),
            datetime(2026, 4, 3, tzinfo=UTC),
            datetime(2026, 4, 23, tzinfo=UTC),
            datetime(2026, 9, 5, tzinfo=UTC),
            datetime(2026, 10, 3, tzinfo=UTC),
            datetime(2026, 10, 24, tzinfo=UTC),
            datetime(2026, 10, 29, tzinfo=UTC),
        ]
    ),
    st.integers(0, 2 * DAY),
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def by_walking(
    now: datetime, zone: ZoneInfo, window: Window, quiet: QuietHours | None
) -> datetime | None:
    for at, local in oracle.walk(zone, minute(now), minute(now) + 4 * DAY):
        clock = time(local % DAY // 60, local % 60)
        if clock in window and not (quiet and clock in quiet):
            return datetime.fromtimestamp(at * 60, UTC)
    return None


@settings(max_examples=250)
@given(
    now=instants,
    name=st.sampled_from(ZONES),
    start=times,
    end=times,
    quiet=st.none() | st.tuples(times, times),
)
@example(  # Set back into a window that has just closed.
    now=utc(2026, 10, 25, 0, 45),
    name="Europe/Berlin",
    start=time(1),
    end=time(2, 30),
    quiet=None,
)
@example(  # Set forward into a window whose beginning does not exist.
    now=utc(2026, 3, 29, 0, 30), name="Europe/Berlin", start=time(2, 30), end=time(4), quiet=None
)
def test_what_opens_returns_is_open_and_nothing_before_it_is(
    now: datetime, name: str, start: time, end: time, quiet: tuple[time, time] | None
) -> None:
    zone, window = fields.zone(name), Window(start, end)
    hours = QuietHours(f"{quiet[0]:%H:%M}", f"{quiet[1]:%H:%M}") if quiet else None
    expected = by_walking(now, zone, window, hours) or by_walking(now, zone, window, None)
    assert opens(now, zone, window, hours) == expected


def test_in_the_window_it_may_go_now_to_the_microsecond() -> None:
    now = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
    assert opens(now, BERLIN, DAYTIME, None) == now


def test_at_night_it_waits_for_the_morning() -> None:
    assert opens(utc(2026, 11, 22, 22), BERLIN, DAYTIME, None) == utc(2026, 11, 23, 8)


def test_the_end_of_the_window_is_outside() -> None:
    assert opens(utc(2026, 11, 22, 20), BERLIN, DAYTIME, None) == utc(2026, 11, 23, 8)


def test_quiet_hours_that_pass_midnight_hold_on_both_sides() -> None:
    quiet = QuietHours("20:00", "10:30")
    assert opens(utc(2026, 11, 22, 19, 30), BERLIN, DAYTIME, quiet) == utc(2026, 11, 23, 9, 30)
    assert opens(utc(2026, 11, 22, 8, 30), BERLIN, DAYTIME, quiet) == utc(2026, 11, 22, 9, 30)


def test_a_window_that_passes_midnight_is_open_at_midnight() -> None:
    night = Window(time(22), time(2))
    assert opens(utc(2026, 11, 22, 23, 30), BERLIN, night, None) == utc(2026, 11, 22, 23, 30)
    assert opens(utc(2026, 11, 22, 12), BERLIN, night, None) == utc(2026, 11, 22, 21)


def test_where_quiet_hours_leave_no_time_the_window_alone_counts() -> None:
    quiet = QuietHours("08:00", "22:00")
    assert opens(utc(2026, 11, 22, 22), BERLIN, DAYTIME, quiet) == utc(2026, 11, 23, 8)


def test_quiet_hours_from_a_time_to_the_same_are_none() -> None:
    quiet = QuietHours("12:00", "12:00")
    assert opens(utc(2026, 11, 22, 11), BERLIN, DAYTIME, quiet) == utc(2026, 11, 22, 11)


def test_a_window_from_a_time_to_the_same_is_the_whole_day() -> None:
    always = Window(time(0), time(0))
    assert opens(utc(2026, 11, 22, 3), BERLIN, always, None) == utc(2026, 11, 22, 3)


def test_a_skipped_day_is_waited_through() -> None:
    apia = ZoneInfo("Pacific/Apia")
    late = utc(2011, 12, 30, 8)  # 22:00 on the 29th; the 30th never came
    assert opens(late, apia, DAYTIME, None) == utc(2011, 12, 30, 19)


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        (datetime(2026, 11, 22, 12), utc(2026, 11, 22, 11)),
        (datetime(2026, 3, 29, 2, 30), utc(2026, 3, 29, 1)),
        (datetime(2026, 10, 25, 2, 30), utc(2026, 10, 25, 0, 30)),
    ],
)
def test_a_local_time_has_one_instant(local: datetime, instant: datetime) -> None:
    assert at_local(local, BERLIN) == instant


@given(st.integers(0, 2**128 - 1))
def test_held_jobs_are_spread_by_their_id_alone(number: int) -> None:
    job_id = f"{number:032x}"
    assert timedelta(0) <= spread(job_id) <= SPREAD
    assert spread(job_id) == spread(job_id)
