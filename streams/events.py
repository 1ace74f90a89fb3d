"""The input records, one schema a topic: what a value holds, and whom it is about.

Every schema has `people`: the ids of those whom the record names, or None for everyone. Where a
record belongs follows from it (the contract's "Records"). Decoding is strict; a ValidationError
names the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache, partial
from sys import intern
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from streams.fields import (
    YEARS,
    All,
    Channel,
    Code,
    Id,
    Ids,
    IdSet,
    KindName,
    LocalDateTime,
    Month,
    QuietHours,
    Time,
    address,
    cron,
    ident,
    instant,
    known_locale,
    local_instant,
    user_of,
    zone,
    zone_names,
)

# A year, with its month or a whole date, to which a time of day may be added.
RELEASED = re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?")


class Event(msgspec.Struct, kw_only=True):
    """What all input records share."""

    event_id: Id | None = None

    def __post_init__(self) -> None:
        """Make ids text and times aware; subclasses add what a type cannot say."""
        for name, read in _readers(type(self)):
            value = getattr(self, name)
            if value is not None and value is not UNSET:
                setattr(self, name, read(value))
        self.check()

    def check(self) -> None:
        """Raise ValueError for what is wrong between fields."""

    @property
    def people(self) -> tuple[str, ...] | None:
        """The ids of those whom the record names; None for everyone."""
        return (self.user_id,)  # type: ignore[attr-defined]


def _zone_name(value: str) -> str:
    zone(value)
    # Thousands of people share a zone: one text for all of them.
    return intern(value)


#: What is made of a field of that name, in whatever record it stands.
READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("event_id", "user_id", "film_id", "series_id", "campaign_id"), ident),
    **{name: partial(instant, name=name) for name in ("at", "created_at", "pause_until")},
    "local_at": local_instant,
    "email": address,
    "timezone": _zone_name,
}


@cache
def _readers(event: type[Event]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    fields = event.__struct_fields__
    return tuple((name, READERS[name]) for name in fields if name in READERS)


class User(Event, kw_only=True):
    """A person's profile as the cinema keeps it; replaces the one before."""

    user_id: Id
    email: str
    username: str = ""
    timezone: str | None = None
    locale: str | None = None
    quiet_hours: QuietHours | None = None
    channels: dict[KindName, list[Channel]] = {}
    created_at: Time | None = None


class Film(Event, kw_only=True):
    """A film of the catalogue. Films belong nowhere in particular: every worker reads all."""

    film_id: Id
    title: str
    url: str = ""
    genres: list[str] = []
    rating: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    released: str | int | None = None
    series_id: Id | None = None

    def check(self) -> None:
        released = self.released
        if not isinstance(released, str):
            return
        try:
            if not RELEASED.fullmatch(released):
                raise ValueError
            date.fromisoformat(f"{released[:4]}{released[4:10] or '-01'}-01"[:10])
        except ValueError:
            raise ValueError(f"released is neither a date nor a year: {released[:32]!r}") from None

    @property
    def release_date(self) -> date | None:
        """The day the film came out, where the catalogue knows it to the day."""
        text = self.released
        return date.fromisoformat(text[:10]) if isinstance(text, str) and len(text) >= 10 else None

    @property
    def people(self) -> tuple[str, ...]:
        """No one: a film is at home wherever it lies."""
        return ()


class Registration(Event, kw_only=True):
    """Someone has registered; the bare trigger greets everyone who was not greeted yet."""

    event: Literal["send_greeting"] | None = None
    email: str | None = None
    username: str | None = None
    user: str | None = None
    user_id: Id | None = None
    timezone: str | None = None
    locale: str | None = None
    redirect_url: str | None = None
    link_out: str | None = None
    link: str | None = None
    renews: Code | None = None

    def check(self) -> None:
        if self.event is None and (self.email is None or self.user is None):
            raise ValueError("wants `event`, or `email` and `user` of an older producer")
        # What names a person must not be taken for the trigger that greets everyone.
        fields = (name for name in self.__struct_fields__ if name not in ("event", "event_id"))
        given = any(getattr(self, name) is not None for name in fields)
        if self.event and self.email is None and given:
            raise ValueError("missing required field `email`")
        nameless = self.username is None and self.user is None
        if self.event and self.email is not None and nameless and self.renews is None:
            raise ValueError("missing required field `username`")

    @property
    def name(self) -> str:
        """How to address the person."""
        return self.username or self.user or ""

    @property
    def redirect(self) -> str | None:
        """Where the person is sent after confirming."""
        return self.redirect_url or self.link_out

    @property
    def people(self) -> tuple[str, ...] | None:
        if self.user_id is not None:
            return (self.user_id,)
        return (user_of(self.email),) if self.email is not None else None


class Watch(Event, kw_only=True):
    """A person has watched some seconds of a film."""

    user_id: Id
    film_id: Id
    # A month: longer than anything one watches in one go, and milliseconds that fit 32 bits.
    seconds: Annotated[float, msgspec.Meta(ge=0, le=2_592_000)]
    at: Time


class Bookmark(Event, kw_only=True):
    """A person has put a series on the list, or taken it off."""

    user_id: Id
    series_id: Id
    added: bool


class Recipient(msgspec.Struct, kw_only=True):
    """Someone named by a producer, known by address only."""

    name: str = ""
    email: str

    def __post_init__(self) -> None:
        address(self.email)


class Episode(Event, kw_only=True):
    """A new episode of a series is out."""

    serial_name: str
    link: str
    series_id: Id | None = None
    season: int | str | None = None
    episode: int | str | None = None
    link_out: str | None = None
    users: list[Recipient] | None = None

    def check(self) -> None:
        if self.series_id is None and self.users is None:
            raise ValueError("missing required field `series_id` (or `users`)")

    @property
    def people(self) -> tuple[str, ...] | None:
        if self.users is None:
            return None
        return tuple(dict.fromkeys(user_of(user.email) for user in self.users))


class _Named(Event, kw_only=True):
    users: Ids | None = None

    def check(self) -> None:
        if self.users is not None:
            self.users = list(dict.fromkeys(ident(user) for user in self.users))

    @property
    def people(self) -> tuple[str, ...] | None:
        return None if self.users is None else tuple(self.users)


class WeeklyReminder(_Named, kw_only=True):
    """Remind everyone, or those named, of this week's films."""

    event: Literal["send_reminder"]


class MonthlyStatistic(_Named, kw_only=True):
    """Send everyone, or those named, their month."""

    event: Literal["send_statistic"]
    month: Month | None = None


class Activity(Event, kw_only=True):
    """Something has happened that a person should see in the inbox."""

    user_id: Id
    body: str
    group: str | None = None


class Letter(Event, kw_only=True):
    """A letter as an editor wrote it: data, never a template."""

    subject: str
    text: str = ""
    body: str = ""
    to: str | list[str]

    def check(self) -> None:
        if not (self.text or self.body):
            raise ValueError("`text` and `body` are both empty: a letter needs one of them")
        for one in self.addresses:
            address(one, "to")
        if not self.addresses:
            raise ValueError("`to` is empty")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The recipients' addresses, each once."""
        to = [self.to] if isinstance(self.to, str) else self.to
        return tuple({one.lower(): one for one in to}.values())

    @property
    def people(self) -> tuple[str, ...]:
        return tuple(user_of(one) for one in self.addresses)


class Watched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who watched a genre or a series within the last days."""

    genre: str | None = None
    series_id: Id | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=800)]

    def __post_init__(self) -> None:
        if (self.genre is None) == (self.series_id is None):
            raise ValueError("audience.watched wants one of `genre` and `series_id`")
        if self.series_id is not None:
            force_setattr(self, "series_id", ident(self.series_id))


class Audience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a campaign is for; all that is given must hold."""

    users: IdSet | None = None
    locale: str | None = None
    timezones: list[str] | None = None
    watched: Watched | None = None
    idle_days: Annotated[int, msgspec.Meta(ge=1, le=800)] | None = None

    def __post_init__(self) -> None:
        for index, name in enumerate(self.timezones or ()):
            if name not in zone_names():
                where = f"audience.timezones[{index}]"
                raise ValueError(f"{where} {name[:64]!r} is not known: write an IANA name")
        if self.users is not None:
            force_setattr(self, "users", frozenset(map(ident, self.users)))
        if self.locale is not None:
            force_setattr(self, "locale", known_locale(self.locale, "audience.locale"))


# What a kind's own template cannot do without, and only a campaign's context can give.
NEEDED = {
    "letter": ("subject",),
    "activity": ("body",),
    "episode": ("serial_name", "link"),
}


class Campaign(Event, kw_only=True):
    """What is said to an audience, at each recipient's own hour."""

    campaign_id: Id
    kind: KindName
    cron: str | None = None
    at: Time | None = None
    local_at: LocalDateTime | None = None
    audience: All | Audience = "all"
    context: dict[str, Any] = {}
    template: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")] | None = None
    enabled: bool = True

    def check(self) -> None:
        if sum(when is not None for when in (self.cron, self.at, self.local_at)) != 1:
            raise ValueError("wants exactly one of `cron`, `at` and `local_at`")
        for name, when in (("at", self.at), ("local_at", self.local_at)):
            if when is not None and when.year not in YEARS:
                raise ValueError(f"`{name}` is in the year {when.year}")
        if self.cron is not None:
            cron(self.cron)
        if self.template is None:
            missing = [name for name in NEEDED.get(self.kind, ()) if name not in self.context]
            if missing:
                raise ValueError(f"`context` wants {', '.join(missing)}: kind {self.kind} needs it")

    @property
    def people(self) -> None:
        """Everyone: a campaign is told to each partition."""
        return None


class Preferences(Event, kw_only=True):
    """What a person has chosen; wins over the profile. A field not given stays as it is."""

    user_id: Id
    timezone: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET
    channels: dict[KindName, list[Channel]] | UnsetType | None = UNSET
    unsubscribe: list[KindName] = []
    resubscribe: list[KindName] = []
    reason: str | None = None
    pause_until: Time | UnsetType | None = UNSET
    taboo: bool | UnsetType = UNSET


class Tick(Event, kw_only=True):
    """The time is now; one record a second in each partition."""

    at: Time

    @property
    def people(self) -> tuple[str, ...]:
        """No one: a tick is about the partition it lies in."""
        return ()


def now_utc() -> datetime:
    """Return the wall clock's time in UTC."""
    return datetime.now(UTC)
