"""Who the people are: profiles, registrations, and what they choose themselves."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from streams.events.base import Event
from streams.fields import Channel, Code, Id, KindName, QuietHours, Time, user_of


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
