"""The types of the fields in input records, and what makes a value of each wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Final, Literal
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

# Ids travel in keys, in Redis keys and in URLs: long ones are a mistake, not an id.
ID_LENGTH: Final = 256
# RFC 5321, 4.5.3.1.3: a path is at most 256 octets with its angle brackets.
ADDRESS_LENGTH: Final = 254
ADDRESS: Final = re.compile(r"[^\s@<>(),:;\"\\\x00-\x1f\x7f]+@[^\s@<>(),:;\"\\\x00-\x1f\x7f]+")
#: The languages there are templates for.
LOCALES: Final = ("ru", "en")
# \Z and not $, which would let a line break through at the end.
MONTH: Final = r"^[12]\d{3}-(0[1-9]|1[0-2])\Z"
# 128 bits in hex: what a confirmation link carries.
CODE: Final = r"^[0-9a-f]{32}\Z"
EVERYONE: Final = r"^all\Z"
# Control characters part the ids that job ids and keys are made of.
ID: Final = r"^[^\x00-\x1f\x7f]*\Z"
# Beyond these years a time is a mistake, and computing with it may leave the calendar.
YEARS: Final = range(1970, 9000)
# tzdata's stand-in for a machine whose zone nobody has set.
NO_ZONE: Final = "Factory"
CRON_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")

# What a producer may write; on the right what `Event` has made of it by the time it is read.
if TYPE_CHECKING:
    Id = str
    Ids = list[str]
    IdSet = frozenset[str]
    Time = datetime
    LocalDateTime = datetime
    All = Literal["all"]
else:
    Id = Annotated[str, msgspec.Meta(pattern=ID, min_length=1, max_length=ID_LENGTH)] | int
    Ids = list[Id]
    IdSet = frozenset[Id]
    Time = (
        Annotated[
            str,
            msgspec.Meta(
                max_length=64,
                description="ISO 8601 with an offset, or epoch seconds",
                extra_json_schema={"format": "date-time"},
            ),
        ]
        | int
        | float
    )
    LocalDateTime = Annotated[
        str, msgspec.Meta(max_length=64, description="ISO 8601 without an offset")
    ]
    # A pattern, since msgspec's error of a Literal does not say what would do.
    All = Annotated[str, msgspec.Meta(pattern=EVERYONE)]
Month = Annotated[str, msgspec.Meta(pattern=MONTH)]
Code = Annotated[str, msgspec.Meta(pattern=CODE)]
Text = str
Channel = Literal["email", "websocket", "log"]
KindName = Literal[
    "welcome", "letter", "activity", "episode", "weekly_reminder", "monthly_statistic", "tip"
]


LocalTime = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z")]


class QuietHours(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A span of local time in which no mail that can wait is sent; it may pass midnight."""

    start: LocalTime
    end: LocalTime

    def __contains__(self, local: time) -> bool:
        """Tell whether that local time lies inside; the end does not."""
        start, end = time.fromisoformat(self.start), time.fromisoformat(self.end)
        if start <= end:
            return start <= local < end
        return local >= start or local < end


def ident(value: str | int) -> str:
    """Return an id as text: an integer becomes its decimal string."""
    return value if isinstance(value, str) else str(value)


def instant(value: datetime | str | float, name: str) -> datetime:
    """Return a time as an aware datetime in UTC, from ISO 8601 with an offset or epoch seconds."""
    try:
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError(
            f"{name} is no time: {value!r}; write ISO 8601 with an offset, or epoch seconds"
        ) from None
    raise ValueError(f"{name} has no offset: write 2026-11-22T18:00:00+00:00")


def local_instant(value: datetime | str) -> datetime:
    """Return a local time, the same in every zone, from ISO 8601 without an offset."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"local_at is no time: {value!r}; write 2026-12-31T23:00:00") from None
    if moment.tzinfo is not None:
        raise ValueError("local_at is a local time: write it without an offset")
    return moment


def address(value: str, name: str = "email") -> str:
    """Return an e-mail address that can stand in an envelope and in a header."""
    if len(value.encode()) > ADDRESS_LENGTH or not ADDRESS.fullmatch(value):
        raise ValueError(f"{name} is no e-mail address")
    return value


@lru_cache(maxsize=2048)
def zone(value: str) -> ZoneInfo:
    """Return the zone of that IANA name; ValueError where there is none.

    From the package tzdata and not from the system, whose rules may be years older and differ
    between machines: two workers would then not agree on when a campaign is due.
    """
    if value not in zone_names():
        raise ValueError(f"timezone {value[:64]!r} is not known: write an IANA name")
    with (files("tzdata") / "zoneinfo" / value).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=value)


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split()) - {NO_ZONE}


@lru_cache(maxsize=2048)
def same_zone(value: str) -> str:
    """Return the name that a zone goes by today: Europe/Kiev is Europe/Kyiv.

    Only for telling whether two names mean one place. Places that merely share their clock, as
    Stockholm and Berlin do for tzdata, stay two.
    """
    links, places = _renamed()
    while value not in places and value in links:
        value = links[value]
    return value


@cache
def _renamed() -> tuple[dict[str, str], frozenset[str]]:
    """Return tzdata's links, and the places it names (zone.tab)."""
    folder = files("tzdata") / "zoneinfo"
    lines = (folder / "tzdata.zi").read_text("utf-8").splitlines()
    links = (line.split()[1:3] for line in lines if line.startswith("L "))
    table = (folder / "zone.tab").read_text("utf-8").splitlines()
    places = (line.split("\t")[2] for line in table if line and not line.startswith("#"))
    return {name: target for target, name in links}, frozenset(places)


def cron(value: str) -> str:
    """Return a cron expression of five fields; ValueError says what is wrong in it, and where."""
    parts = list(re.finditer(r"\S+", value))
    if len(parts) != len(CRON_FIELDS):
        raise ValueError(
            f"cron {value[:64]!r} has {len(parts)} fields: it wants five, {', '.join(CRON_FIELDS)}"
        )
    for index, (name, part) in enumerate(zip(CRON_FIELDS, parts, strict=True)):
        for one in re.finditer(r"[^,]+|(?<![^,])(?=,|$)", part[0]):
            alone = ["*"] * len(CRON_FIELDS)
            alone[index] = one[0]
            if not _is_cron(" ".join(alone)):
                place = part.start() + one.start() + 1
                raise ValueError(
                    f"cron {value[:64]!r}, character {place}: {one[0][:64]!r} is no {name}"
                )
    if not _is_cron(value):
        raise ValueError(f"cron {value[:64]!r} names a day that no such month has")
    return value


def _is_cron(value: str) -> bool:
    # A leap day comes round to its weekday within 28 years; cronsim gives up after 50.
    try:
        next(CronSim(value, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration, AssertionError, TypeError, ValueError):
        return False
    return True


def locale(value: str | None, default: str, known: tuple[str, ...] = LOCALES) -> str:
    """Return a locale there are templates for: `ru_RU` is ru, an unknown one the default."""
    language = (value or "").replace("_", "-").partition("-")[0].lower()
    return language if language in known else default


def known_locale(value: str, name: str) -> str:
    """Return the language of a locale there are templates for; ValueError where there are none."""
    found = locale(value, "")
    if not found:
        raise ValueError(f"{name} {value[:32]!r} is none of {', '.join(LOCALES)}")
    return found


def user_of(email: str) -> str:
    """Return the id of a person known by address only (the contract's uuid5)."""
    return str(uuid5(NAMESPACE_URL, "mailto:" + email.lower()))
