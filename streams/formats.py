"""Numbers, dates, spans and plurals in the recipient's language, by CLDR's rules (babel).

Every function takes the locale first and is cached: formatting costs babel 4 µs and more, and the
same few months, hours and counts come in every mail of a campaign.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache, partial
from typing import Any, Final

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal
from babel.units import format_unit

MINUTE: Final = 60
# Distinct counts, hours and dates in one campaign are in the hundreds.
CACHED: Final = 4096


@lru_cache(maxsize=64)
def _locale(name: str) -> Locale:
    return Locale.parse(name)


@lru_cache(maxsize=CACHED)
def _category(locale: str, value: float) -> str:
    return _locale(locale).plural_form(value)


def plural(locale: str, value: float, **forms: str) -> str:
    """Return the form for that count; forms go by CLDR's categories, `other` is the last resort."""
    return forms.get(_category(locale, value)) or forms["other"]


@lru_cache(maxsize=CACHED)
def number(locale: str, value: float) -> str:
    """Return a number with at most one decimal: 12 345 or 8,1."""
    return format_decimal(value, "#,##0.#", locale=_locale(locale))


@lru_cache(maxsize=CACHED)
def rating(locale: str, value: float) -> str:
    """Return a rating with exactly one decimal, so that they line up: 8,0."""
    return format_decimal(value, "0.0", locale=_locale(locale))


@lru_cache(maxsize=CACHED)
def duration(locale: str, seconds: float) -> str:
    """Return a span in hours and minutes, the minute rounded: 12 hours 30 minutes."""
    minutes = round(seconds / MINUTE)
    if seconds > 0:
        minutes = max(minutes, 1)
    hours, minutes = divmod(minutes, 60)
    parts = []
    if hours:
        parts.append(format_unit(hours, "duration-hour", "long", locale=_locale(locale)))
    if minutes or not hours:
        parts.append(format_unit(minutes, "duration-minute", "long", locale=_locale(locale)))
    return " ".join(parts)


@lru_cache(maxsize=CACHED)
def month(locale: str, value: str) -> str:
    """Return the name of a month such as `2026-10`, as it stands alone: октябрь, October."""
    return format_date(date.fromisoformat(f"{value}-01"), "LLLL", locale=_locale(locale))


@lru_cache(maxsize=CACHED)
def week(locale: str, value: str) -> str:
    """Return the days of a week such as `2026-W47`: 16–22 ноября, November 16 – 22, unbroken."""
    start = date.fromisoformat(f"{value}-1")
    end = start + timedelta(days=6)
    spans = _locale(locale).interval_formats["MMMd"]
    # CLDR has the patterns for abbreviated months only; the full name follows the same rules.
    first, last = spans["d" if start.month == end.month else "M"]
    span = "".join(
        format_date(day, pattern.replace("MMM", "MMMM"), locale=_locale(locale))
        for day, pattern in ((start, first), (end, last))
    )
    return span.replace(" ", "\N{NO-BREAK SPACE}")


def filters(locale: str) -> dict[str, Callable[..., Any]]:
    """Return the template filters of that locale."""
    return {
        function.__name__: partial(function, locale)
        for function in (plural, number, rating, duration, month, week)
    }
