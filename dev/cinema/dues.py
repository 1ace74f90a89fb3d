"""What is due to a person, and what of a person decides it: the rules of the book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final

from dev.cinema.almanac import WINDOW
from dev.cinema.facts import Hours
from streams.fields import zone as rules

EMAIL: Final = "email"
WEBSOCKET: Final = "websocket"
DEFAULT_ZONE: Final = "UTC"

WELCOME: Final = "welcome"
LETTER: Final = "letter"
ACTIVITY: Final = "activity"
EPISODE: Final = "episode"
WEEKLY: Final = "weekly_reminder"
MONTHLY: Final = "monthly_statistic"
TIP: Final = "tip"

# The table of kinds in CONTRACT, said a second time on purpose.
CHANNELS: Final[dict[str, tuple[str, ...]]] = {
    WELCOME: (EMAIL,),
    LETTER: (EMAIL,),
    ACTIVITY: (WEBSOCKET,),
    EPISODE: (EMAIL, WEBSOCKET),
    WEEKLY: (EMAIL,),
    MONTHLY: (EMAIL,),
    TIP: (EMAIL, WEBSOCKET),
}
EXPIRES: Final = {
    EPISODE: timedelta(days=3),
    WEEKLY: timedelta(hours=24),
    MONTHLY: timedelta(days=10),
    TIP: timedelta(days=3),
}
WAITS: Final = frozenset(EXPIRES)
UNSUBSCRIBABLE: Final = frozenset({ACTIVITY, *EXPIRES})

# Every zone's offset and every edge of a window is a multiple of it.
QUARTER: Final = timedelta(minutes=15)
# More than a day: the search for an open hour ends where there is none.
SEARCH: Final = 200


@dataclass(frozen=True, slots=True)
class Due:
    """One notification over one channel, to be there after step `last` and not before `first`.

    Only of one that is `sure` the absence is an error: where two changes meet in one step, either
    order is right.
    """

    user_id: str
    address: str
    kind: str
    occasion: str
    channel: str
    first: int
    last: int
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """A mail that waits for its hour."""

    kind: str
    occasion: str
    opening: datetime
    expires: datetime


@dataclass(slots=True)
class Standing:
    """How things stand with a person at a moment of the story."""

    user_id: str
    address: str
    timezone: str = DEFAULT_ZONE
    locale: str = "en"
    quiet: Hours | None = None
    channels: dict[str, list[str]] = field(default_factory=dict)
    unsubscribed: set[str] = field(default_factory=set)
    pause_until: datetime | None = None
    taboo: bool = False
    known: bool = False
    left: bool = False
    greeted: bool = False
    bookmarked: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)

    def refuses(self, kind: str, when: datetime) -> bool:
        """Tell whether this kind is not for this person then."""
        if self.left:
            return True
        if kind == WELCOME:
            return False
        if self.taboo:
            return True
        if kind not in UNSUBSCRIBABLE:
            return False
        paused = self.pause_until is not None and when < self.pause_until
        return paused or kind in self.unsubscribed

    def over(self, kind: str) -> tuple[str, ...]:
        """Return the channels for that kind."""
        return tuple(self.channels.get(kind, CHANNELS[kind]))

    def choose(self, preferences: Mapping[str, Any]) -> None:
        """Take over what a person has chosen; fields as in the record."""
        self.unsubscribed |= set(preferences.get("unsubscribe", ()))
        self.unsubscribed -= set(preferences.get("resubscribe", ()))
        self.channels |= preferences.get("channels", {})
        self.taboo = preferences.get("taboo", self.taboo)
        if "pause_until" in preferences:
            self.pause_until = datetime.fromisoformat(preferences["pause_until"])
        if "quiet_hours" in preferences:
            hours = preferences["quiet_hours"]
            self.quiet = hours and Hours(
                time.fromisoformat(hours["from"]), time.fromisoformat(hours["to"])
            )

    def opens(self, when: datetime) -> datetime:
        """Return the first instant from then on at which a mail may come."""
        return _opens(when, self.timezone, self.quiet)


@lru_cache(maxsize=4096)
def _opens(when: datetime, timezone: str, quiet: Hours | None) -> datetime:
    zone = rules(timezone)
    probe = when
    for _ in range(SEARCH):
        local = probe.astimezone(zone).time()
        if WINDOW[0] <= local < WINDOW[1] and (quiet is None or local not in quiet):
            return probe
        probe += QUARTER - (probe - datetime.min.replace(tzinfo=probe.tzinfo)) % QUARTER
    raise ValueError(f"quiet hours leave no time in {timezone}: change them in the story")
