"""What there is to watch, what was watched, and the series that people follow."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

import msgspec

from streams.events.base import Event
from streams.fields import Id, Time, address, user_of

# A year, with its month or a whole date, to which a time of day may be added.
RELEASED = re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?")


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
