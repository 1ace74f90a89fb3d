"""Who the people are: profile, what they chose themselves, and our own marks."""

from __future__ import annotations

from datetime import datetime
from sys import intern
from typing import Any, Final

import msgspec
from sortedcontainers import SortedList

from streams import fields
from streams.events import Preferences, Registration, User
from streams.fields import QuietHours
from streams.kinds import Kind
from tables.alike import marks
from tables.erased import Erased
from tables.months import MONTHS_KEPT, kept_since
from tables.view import View
from tables.zones import CHOICE, PROFILE, REGISTRATION, Entry, add, zone_now

# Occasions kept for each kind, the latest ones: all months that are kept, and the one that runs.
# Weeks take as much room; a repeat older than that is stopped by the kind's expiry long before.
OCCASIONS: Final = MONTHS_KEPT + 1
# A sentence: a reason may be anything a producer writes, and a row must not grow with it.
REASON_LENGTH: Final = 200


# Rows hold no cycles: with gc=False a full collection, which stops everything, has a third fewer
# objects to look at.
class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the cinema knows of a person; `at` is the time of the record it comes from."""

    email: str
    username: str
    locale: str | None = None
    quiet_hours: QuietHours | None = None
    channels: dict[str, list[str]] = {}
    at: float = 0.0
    registered: bool = False


class Choices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the person chose; it wins over the profile.

    `times` says by field when it was last chosen: a record that was forwarded may come after a
    younger one, and must neither undo that one nor be lost. `reasons` says of the kinds that were
    left why, where the person said so.
    """

    locale: str | None = None
    quiet_hours: QuietHours | None = None
    quiet_hours_set: bool = False
    channels: dict[str, list[str]] = {}
    unsubscribed: list[str] = []
    reasons: dict[str, str] = {}
    pause_until: datetime | None = None
    taboo: bool = False
    times: dict[str, float] = {}


NO_CHOICES: Final = Choices()
#: Stands in every row that has nothing there; nobody changes it.
NOTHING: Final[dict[str, Any]] = {}


class UserRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One person.

    `known_since` is when we first had an address; `zones` is what was said of the person's time
    zone (tables/zones.py); `occasions` says by kind what has been said already (weeks, months),
    `fired` by campaign the last occurrence that was theirs, `late` by month how many watches came
    after its report. `life` is not empty for one who was erased and is back (tables/erased.py).
    """

    user_id: str
    profile: Profile | None = None
    choices: Choices = NO_CHOICES
    known_since: datetime | None = None
    greeted: bool = False
    confirmed_at: datetime | None = None
    zones: tuple[Entry, ...] = ()
    occasions: dict[str, tuple[str, ...]] = {}
    fired: dict[str, str] = {}
    late: dict[str, int] = {}
    life: str = ""

    def occasion(self, name: str) -> str:
        """Return an occasion as it is the person's in this life: the first needs no telling."""
        return f"{name}\x1f{self.life}" if self.life else name

    @property
    def email(self) -> str | None:
        """The address mails go to; None while only the id is known."""
        return self.profile.email if self.profile else None

    @property
    def username(self) -> str:
        """How to address the person."""
        return self.profile.username if self.profile else ""

    def timezone(self, default: str) -> str:
        """The zone the person lives in now."""
        return zone_now(self.zones, default)

    def locale(self, default: str) -> str:
        """The language to write in, one there are templates for."""
        chosen = self.choices.locale or (self.profile.locale if self.profile else None)
        return fields.locale(chosen, default)

    @property
    def quiet_hours(self) -> QuietHours | None:
        """When no mail that can wait is sent."""
        if self.choices.quiet_hours_set:
            return self.choices.quiet_hours
        return self.profile.quiet_hours if self.profile else None

    def channels(self, kind: Kind) -> tuple[str, ...]:
        """The channels over which this kind reaches the person, perhaps none."""
        for chosen in (self.choices.channels, self.profile.channels if self.profile else {}):
            if kind.name in chosen:
                return tuple(dict.fromkeys(chosen[kind.name]))
        return kind.channels

    def said(self, what: str, occasion: str) -> bool:
        """Tell whether that has been said on that occasion."""
        return occasion in self.occasions.get(what, ())

    def saying(self, what: str, occasion: str) -> UserRow:
        """Return the row with that occasion marked."""
        occasions = tuple(sorted([*self.occasions.get(what, ()), occasion])[-OCCASIONS:])
        return msgspec.structs.replace(self, occasions=marks({**self.occasions, what: occasions}))

    def has_fired(self, campaign_id: str, occurrence: str) -> bool:
        """Tell whether that occurrence of a campaign was theirs, or a later one.

        Occurrences are local times: whoever moves west comes to the same ones again.
        """
        return occurrence <= self.fired.get(campaign_id, "")

    def firing(self, campaign_id: str, occurrence: str) -> UserRow:
        """Return the row with that occurrence of a campaign marked."""
        fired = {**self.fired, campaign_id: occurrence}
        return msgspec.structs.replace(self, fired=marks(fired))


def chosen(choices: Choices, event: Preferences, at: float) -> Choices:
    """Return the choices with what the record says, field by field where it is not the older."""
    times = dict(choices.times)

    def is_news(field: str) -> bool:
        if times.get(field, at) > at:
            return False
        times[field] = at
        return True

    changes: dict[str, Any] = {}
    for name in ("locale", "pause_until", "taboo"):
        value = getattr(event, name)
        if value is not msgspec.UNSET and is_news(name):
            changes[name] = value
    if event.quiet_hours is not msgspec.UNSET and is_news("quiet_hours"):
        changes["quiet_hours"] = event.quiet_hours
        changes["quiet_hours_set"] = True
    if event.channels is not msgspec.UNSET:
        channels: dict[str, list[str]] = dict(choices.channels)
        for kind in dict.fromkeys((*channels, *(event.channels or ()))):
            if event.channels is None and is_news(f"channels.{kind}"):
                del channels[kind]
            elif event.channels and kind in event.channels and is_news(f"channels.{kind}"):
                channels[kind] = list(event.channels[kind])
        changes["channels"] = channels
    unsubscribed, reasons = dict.fromkeys(choices.unsubscribed), dict(choices.reasons)
    # A record that says both means no: that one may be said again.
    for kind in dict.fromkeys((*event.unsubscribe, *event.resubscribe)):
        if is_news(f"subscribed.{kind}"):
            if kind in event.unsubscribe:
                unsubscribed[kind] = None
                if event.reason:
                    reasons[kind] = event.reason[:REASON_LENGTH]
            else:
                unsubscribed.pop(kind, None)
                reasons.pop(kind, None)
    changes |= {"unsubscribed": list(unsubscribed), "reasons": reasons}
    return msgspec.structs.replace(choices, times=times, **changes)


class Users(View[UserRow]):
    """People by id, and those with an address by zone."""

    name = "users"
    row = UserRow

    def __init__(self, default_timezone: str, erased: Erased) -> None:
        super().__init__()
        self.default_timezone = default_timezone
        self._erased = erased
        #: Everyone with an address, in order of id: what walks go through.
        self.known: SortedList[str] = SortedList()
        #: The same by zone: what a campaign's firing goes through.
        self.by_zone: dict[str, SortedList[str]] = {}
        #: Raised by one whenever a zone comes or goes.
        self.zones_version = 0

    def decode(self, key: str, value: bytes) -> UserRow:
        row = super().decode(key, value)
        # Thousands share a zone, and the id is the key: one text for each.
        zones = tuple((at, source, zone and intern(zone)) for at, source, zone in row.zones)
        profile = row.profile
        if profile is not None:
            profile = msgspec.structs.replace(
                profile,
                locale=profile.locale and intern(profile.locale),
                channels=profile.channels or NOTHING,
            )
        return msgspec.structs.replace(
            row,
            user_id=key,
            profile=profile,
            zones=zones,
            occasions=marks(row.occasions),
            fired=marks(row.fired),
            late=row.late or NOTHING,
        )

    def of(self, user_id: str) -> UserRow:
        """Return the person's row, a new one for someone never heard of."""
        return self.get(user_id) or UserRow(user_id=user_id, life=self._erased.life(user_id))

    def remember(self, user: User, at: datetime, now: datetime) -> UserRow:
        """Replace the profile, unless a younger one than the record's time `at` is known.

        What a registration said is none: which of the two topics is read first is chance.
        """
        row = self.of(str(user.user_id))
        zones = _lived(row, at, PROFILE, user.timezone, now)
        known = row.profile
        if known is not None and known.registered and known.at > at.timestamp():
            return self._save(row, now, zones=zones)
        profile = Profile(
            email=user.email,
            username=user.username,
            locale=user.locale,
            quiet_hours=user.quiet_hours,
            channels={kind: list(channels) for kind, channels in user.channels.items()} or NOTHING,
            at=at.timestamp(),
            registered=True,
        )
        return self._save(row, now, profile=profile, zones=zones)

    def register(self, event: Registration, at: datetime, now: datetime) -> UserRow:
        """Remember whoever registers; a profile from `users` wins over what a registration says."""
        (user_id,) = event.people or ("",)
        row = self.of(user_id)
        zones = row.zones
        if event.timezone is not None:
            zones = _lived(row, at, REGISTRATION, event.timezone, now)
        known = row.profile or Profile(email="", username="")
        if known.registered or known.at > at.timestamp():
            return row if zones is row.zones else self._save(row, now, zones=zones)
        profile = Profile(
            email=event.email or known.email,
            username=event.name or known.username,
            locale=event.locale or known.locale,
            at=at.timestamp(),
        )
        return self._save(row, now, profile=profile, zones=zones)

    def choose(self, event: Preferences, at: datetime, now: datetime) -> UserRow:
        """Put what the person chose over the profile; a field not given stays."""
        row = self.of(str(event.user_id))
        zones = row.zones
        if event.timezone is not msgspec.UNSET:
            zones = _lived(row, at, CHOICE, event.timezone, now)
        choices = chosen(row.choices, event, at.timestamp())
        return self._save(row, now, choices=choices, zones=zones)

    def _save(self, row: UserRow, now: datetime, **changes: object) -> UserRow:
        row = msgspec.structs.replace(row, **changes)
        if row.known_since is None and row.email:
            row = msgspec.structs.replace(row, known_since=now)
        self[row.user_id] = row
        return row

    def index(self, key: str, old: UserRow | None, new: UserRow | None) -> None:
        if old and new and old.email and new.email and old.zones is new.zones:
            return
        before = self._place(old)
        after = self._place(new)
        if before == after:
            return
        if before is not None:
            self.known.remove(key)
            self.by_zone[before].remove(key)
            if not self.by_zone[before]:
                del self.by_zone[before]
                self.zones_version += 1
        if after is not None:
            self.known.add(key)
            if after not in self.by_zone:
                self.by_zone[after] = SortedList()
                self.zones_version += 1
            self.by_zone[after].add(key)

    def rebuild(self) -> None:
        """Sort once instead of inserting one by one."""
        zones: dict[str, list[str]] = {}
        for key, row in self.rows.items():
            zone = self._place(row)
            if zone is not None:
                zones.setdefault(zone, []).append(key)
        self.by_zone = {zone: SortedList(keys) for zone, keys in zones.items()}
        self.zones_version += 1
        self.known = SortedList(key for keys in zones.values() for key in keys)

    def _place(self, row: UserRow | None) -> str | None:
        if row is None or not row.email:
            return None
        return row.timezone(self.default_timezone)


def _lived(
    row: UserRow, at: datetime, source: int, zone: str | None, now: datetime
) -> tuple[Entry, ...]:
    return tuple(add(row.zones, at.timestamp(), source, zone, kept_since(now).timestamp()))
