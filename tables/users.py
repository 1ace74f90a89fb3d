"""Who the people are: by id, and those with an address by zone."""

from __future__ import annotations

from datetime import datetime
from sys import intern

import msgspec
from sortedcontainers import SortedList

from streams.events import Preferences, Registration, User
from tables.alike import marks
from tables.choices import chosen
from tables.erased import Erased
from tables.months import kept_since
from tables.person import NOTHING, Profile, UserRow
from tables.view import View
from tables.zones import CHOICE, PROFILE, REGISTRATION, Entry, add


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
