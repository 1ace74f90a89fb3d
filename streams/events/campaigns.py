"""What is said to an audience, and whom it is for."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec.structs import force_setattr

from streams.events.base import Event
from streams.fields import (
    YEARS,
    All,
    Id,
    IdSet,
    KindName,
    LocalDateTime,
    Time,
    cron,
    ident,
    known_locale,
    zone_names,
)


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
