"""What happens in the story, as facts: the script makes records of them, the book judges by them.

`step` is the number of the step at whose beginning the fact becomes known to the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of local time that may pass midnight; the end does not belong to it."""

    start: time
    end: time

    def __contains__(self, local: time) -> bool:
        """Tell whether that local time lies inside."""
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    @property
    def value(self) -> dict[str, str]:
        """The span as records say it."""
        return {"from": f"{self.start:%H:%M}", "to": f"{self.end:%H:%M}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happens in a step."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Fact):
    """A person comes to the cinema; `greeted` is False for one who only has a profile as yet."""

    user_id: str
    greeted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept(Fact):
    """The bare trigger: whoever has a profile and was not greeted is greeted now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed(Fact):
    """A person opens the link in the welcome mail."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Fact):
    """A person has watched a film."""

    user_id: str
    film_id: str
    seconds: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmarked(Fact):
    """A person has put a serial on the list or taken it off."""

    user_id: str
    series_id: str
    added: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Fact):
    """An episode is out; with `addresses` only they hear of it."""

    series_id: str
    episode: int
    addresses: tuple[str, ...] = ()

    @property
    def occasion(self) -> str:
        """What tells this release from others."""
        return f"{self.series_id}/{self.episode}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Fact):
    """A person lives in another zone from now on; the profile says so or the person."""

    user_id: str
    timezone: str
    by_profile: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chose(Fact):
    """A person has changed the preferences; fields as in the record. `by_mail`: with one click."""

    user_id: str
    preferences: dict[str, Any]
    by_mail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Fact):
    """A person has closed the account: a tombstone on `users`."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Fact):
    """Something for a person's inbox; several `times` at once it is one entry that counts them."""

    user_id: str
    body: str
    times: int = 1

    @property
    def occasion(self) -> str:
        """What the entry says."""
        return counted(self.body, self.times)


def counted(body: str, times: int) -> str:
    """Return an entry's body with the number of events that it stands for."""
    return body if times == 1 else f"{body} ({times} times)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote(Fact):
    """An editor's letter to addresses."""

    subject: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminded(Fact):
    """An editor asks for this week's reminder for some, before its hour."""

    users: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced(Fact):
    """A campaign: a tip at one local time for all who speak that language."""

    campaign_id: str
    local_at: datetime
    locale: str
