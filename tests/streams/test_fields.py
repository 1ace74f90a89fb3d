"""What makes a field's value wrong, and what is made of a right one."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.fields import (
    Month,
    QuietHours,
    address,
    cron,
    ident,
    instant,
    local_instant,
    locale,
    same_zone,
    user_of,
    zone,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22T15:00:00+03:00",
        "2026-11-22T15:00+03:00",
        "2026-11-22 12:00:00+00:00",
        "20261122T120000Z",
        1795348800,
        1795348800.0,
    ],
)
def test_a_time_may_be_written_in_many_ways(text: str | float) -> None:
    assert instant(text, "at") == NOON


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-13-01T00:00:00Z", 1e300, float("nan"), "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_time_is_named(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"^at is no time"):
        instant(text, "at")


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="at has no offset: write 2026"):
        instant("2026-11-22T12:00:00", "at")


def test_a_local_time_must_not_have_an_offset() -> None:
    assert local_instant("2026-12-31T20:00") == datetime(2026, 12, 31, 20)
    with pytest.raises(ValueError, match="without an offset"):
        local_instant("2026-12-31T20:00:00Z")
    with pytest.raises(ValueError, match="is no time"):
        local_instant("soon")


@pytest.mark.parametrize("text", ["a@b.c", "ö.ü+tag@exämple.org", "x" * 64 + "@" + "y" * 60])
def test_an_address_stays_as_it_is(text: str) -> None:
    assert address(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b\r\nBcc: x@y", "a@b\n", "<a@b>", "a@" + "b" * 260],
)
def test_what_no_envelope_can_hold_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"^email is no e-mail address$"):
        address(text)


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Olympus", "Europe", "europe/berlin", "../etc/passwd", "a\x00b", "tzdata.zi"),
        *("x" * 5000, "Factory", "localtime", "right/Europe/Berlin", "posix/Europe/Berlin"),
    ],
)
def test_a_zone_that_iana_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^timezone .* is not known: write an IANA name$"):
        zone(name)


def test_a_zones_rules_are_the_packages_whatever_the_system_has(tmp_path: Path) -> None:
    (tmp_path / "Europe").mkdir()
    utc = files("tzdata") / "zoneinfo" / "UTC"
    (tmp_path / "Europe" / "Berlin").write_bytes(utc.read_bytes())
    zoneinfo.reset_tzpath([tmp_path])
    zoneinfo.ZoneInfo.clear_cache(only_keys=["Europe/Berlin"])
    zone.cache_clear()
    try:
        assert NOON.astimezone(zone("Europe/Berlin")).hour == 13
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
        zone.cache_clear()


@given(st.text(max_size=60))
def test_any_text_is_a_zone_or_a_value_error(text: str) -> None:
    try:
        found = zone(text)
    except ValueError:
        return
    assert found.key == text


@pytest.mark.parametrize(
    ("name", "today"),
    [
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Europe/Kyiv", "Europe/Kyiv"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Eastern", "America/New_York"),
        ("Europe/Stockholm", "Europe/Stockholm"),
    ],
)
def test_a_renamed_zone_is_the_same_place_and_a_shared_clock_is_not(name: str, today: str) -> None:
    assert same_zone(name) == today
    assert zone(name).key == name


@pytest.mark.parametrize(
    ("value", "language"),
    [("ru", "ru"), ("ru_RU", "ru"), ("EN-gb", "en"), ("de", "en"), ("", "en"), (None, "en")],
)
def test_an_unknown_locale_falls_back_to_the_default(value: str | None, language: str) -> None:
    assert locale(value, "en") == language


def test_an_integer_id_becomes_its_decimal_string() -> None:
    assert ident(42) == ident("42") == "42"


def test_a_person_known_by_address_has_one_id_in_whatever_case_it_is_written() -> None:
    assert user_of("Ann@Example.org") == user_of("ann@example.ORG")
    assert user_of("ann@example.org") == "a94bbf94-1bfa-58f8-901e-adb560c44851"


@pytest.mark.parametrize(
    "text", ["0 18 * * 5", "*/15 9-17 1,15 * mon-fri", "0 9 L * *", "5 4 * * 5L"]
)
def test_a_cron_expression_stays_as_it_is(text: str) -> None:
    assert cron(text) == text


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("60 18 * * 5", "cron '60 18 \\* \\* 5', character 1: '60' is no minute"),
        ("0 18 1,2,40 * *", "character 10: '40' is no day of month"),
        ("0 18 1,,2 * *", "character 8: '' is no day of month"),
        ("0  18 * * mon,frog", "character 15: 'frog' is no day of week"),
        ("0 25 * * 5", "'25' is no hour"),
        ("0 18 32 * *", "'32' is no day of month"),
        ("0 18 * 13 *", "'13' is no month"),
        ("0 18 * * frog", "'frog' is no day of week"),
        ("0 18 * * 5#6", "'5#6' is no day of week"),
        ("*/0 18 * * *", "'\\*/0' is no minute"),
        ("0 18 5-1 * *", "'5-1' is no day of month"),
        ("0 18 31 2 *", "names a day that no such month has"),
        ("@daily", "has 1 fields: it wants five"),
        ("0 0 18 * * 5", "has 6 fields: it wants five"),
        ("", "has 0 fields"),
    ],
)
def test_a_wrong_cron_expression_says_where_the_mistake_is(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        cron(text)


@given(st.text("0123456789*/-,#L ", max_size=24))
def test_any_text_is_a_cron_expression_or_a_value_error(text: str) -> None:
    try:
        found = cron(text)
    except ValueError:
        return
    assert found == text


def test_a_month_ends_where_it_ends() -> None:
    assert msgspec.convert("2026-10", Month) == "2026-10"
    for wrong in ("2026-10\n", "2026-13", "2026-1", "0000-01", "26-10"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Month)


@pytest.mark.parametrize("wrong", ["24:00", "9:00", "09:60", "09:00\n", "nine"])
def test_quiet_hours_are_times_of_day(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"from": wrong, "to": "10:00"}, QuietHours)
