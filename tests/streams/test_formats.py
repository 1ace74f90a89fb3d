from __future__ import annotations

import pytest

from streams import formats

FILMS = {"one": "фильм", "few": "фильма", "many": "фильмов", "other": "фильма"}


@pytest.mark.parametrize(
    ("count", "form"),
    [
        (0, "фильмов"),
        (1, "фильм"),
        (2, "фильма"),
        (4, "фильма"),
        (5, "фильмов"),
        (11, "фильмов"),
        (12, "фильмов"),
        (14, "фильмов"),
        (21, "фильм"),
        (22, "фильма"),
        (25, "фильмов"),
        (101, "фильм"),
        (111, "фильмов"),
        (1.5, "фильма"),
    ],
)
def test_russian_counts_in_four_forms(count: float, form: str) -> None:
    assert formats.plural("ru", count, **FILMS) == form


@pytest.mark.parametrize(
    ("count", "form"), [(0, "films"), (1, "film"), (2, "films"), (21, "films")]
)
def test_english_counts_in_two_forms(count: int, form: str) -> None:
    assert formats.plural("en", count, one="film", other="films") == form


@pytest.mark.parametrize(
    ("locale", "seconds", "text"),
    [
        ("ru", 0, "0 минут"),
        ("ru", 10, "1 минута"),
        ("ru", 3600, "1 час"),
        ("ru", 2 * 3600 + 21 * 60, "2 часа 21 минута"),
        ("ru", 25 * 3600 + 120, "25 часов 2 минуты"),
        ("en", 3600 + 60, "1 hour 1 minute"),
        ("en", 3599, "1 hour"),
        ("en", 90 * 60, "1 hour 30 minutes"),
    ],
)
def test_a_span_is_told_in_hours_and_minutes(locale: str, seconds: int, text: str) -> None:
    assert formats.duration(locale, seconds) == text


def test_a_month_stands_in_the_nominative() -> None:
    assert formats.month("ru", "2026-05") == "май"
    assert formats.month("en", "2026-05") == "May"


@pytest.mark.parametrize(
    ("locale", "week", "text"),
    [
        ("ru", "2026-W47", "16–22 ноября"),
        ("ru", "2026-W49", "30 ноября – 6 декабря"),
        ("ru", "2026-W53", "28 декабря – 3 января"),
        ("en", "2026-W47", "November 16 – 22"),
        ("en", "2026-W49", "November 30 – December 6"),
    ],
)
def test_a_week_is_told_by_its_days_and_does_not_break(locale: str, week: str, text: str) -> None:
    said = formats.week(locale, week)
    assert " " not in said
    # CLDR sets the dash between thin spaces in some versions and between plain ones in others.
    assert " ".join(said.split()) == text


@pytest.mark.parametrize(
    ("locale", "value", "text"),
    [("ru", 12345, "12 345"), ("en", 12345, "12,345"), ("ru", 8.14, "8,1"), ("en", 8.0, "8")],
)
def test_numbers_are_grouped_as_the_language_does(locale: str, value: float, text: str) -> None:
    assert " ".join(formats.number(locale, value).split()) == text


def test_a_rating_always_has_its_decimal() -> None:
    assert (formats.rating("ru", 8), formats.rating("en", 7.94)) == ("8,0", "7.9")


def test_what_is_no_month_or_week_is_an_error() -> None:
    with pytest.raises(ValueError, match="month must be in"):
        formats.month("ru", "2026-13")
    with pytest.raises(ValueError, match="Invalid isoformat"):
        formats.week("ru", "2026-W54")
