"""One person's row: profile, what they chose themselves, and our own marks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from streams import fields
from streams.fields import QuietHours
from streams.kinds import Kind
from tables.alike import marks
from tables.choices import NO_CHOICES, Choices
from tables.months import MONTHS_KEPT
from tables.zones import Entry, zone_now

# Occasions kept for each kind, the latest ones: all months that are kept, and the one that runs.
# Weeks take as much room; a repeat older than that is stopped by the kind's expiry long before.
OCCASIONS: Final = MONTHS_KEPT + 1
#: Stands in every row that has nothing there; nobody changes it.
NOTHING: Final[dict[str, Any]] = {}


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
