"""The input records, one schema a topic: what a value holds, and whom it is about.

Every schema has `people`: the ids of those whom the record names, or None for everyone. Where a
record belongs follows from it (the contract's "Records"). Decoding is strict; a ValidationError
names the field.
"""

from streams.events.base import Event, Tick, now_utc
from streams.events.campaigns import Audience, Campaign, Watched
from streams.events.films import Bookmark, Episode, Film, Recipient, Watch
from streams.events.notices import Activity, Letter, MonthlyStatistic, WeeklyReminder
from streams.events.people import Preferences, Registration, User

__all__ = [
    "Activity",
    "Audience",
    "Bookmark",
    "Campaign",
    "Episode",
    "Event",
    "Film",
    "Letter",
    "MonthlyStatistic",
    "Preferences",
    "Recipient",
    "Registration",
    "Tick",
    "User",
    "Watch",
    "Watched",
    "WeeklyReminder",
    "now_utc",
]
