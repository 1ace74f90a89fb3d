"""What asks for something to be said at once: triggers, activity and letters."""

from __future__ import annotations

from typing import Literal

from streams.events.base import Event
from streams.fields import Id, Ids, Month, address, ident, user_of


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
