"""Every topic: its key, value, retention and limits. Declared at start, held against the broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from streams import events, jobs

MIB: Final = 1 << 20
# What a value may hold (CONTRACT, "Records"); a record over it is a dead letter.
VALUE_LIMIT: Final = MIB
INPUT_LIMIT: Final = 2 * MIB
OUTPUT_LIMIT: Final = 4 * MIB
RETENTION: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    `value` is the schema of its values, `intake` lets the outside post to it, and `lag_ms` is how
    long a compacted topic keeps what was undercut at least. At most it does for the retention of
    the others: who was erased is to be gone by then.
    """

    name: str
    key: str
    value: Any
    compacted: bool = False
    retention: timedelta = RETENTION
    max_message_bytes: int = OUTPUT_LIMIT
    intake: bool = False
    lag_ms: int = 0

    @property
    def config(self) -> dict[str, str]:
        """The topic's settings as Kafka names them."""
        config = {"max.message.bytes": str(self.max_message_bytes)}
        milliseconds = str(int(self.retention.total_seconds() * 1000))
        if self.compacted:
            lag = {"min.compaction.lag.ms": str(self.lag_ms)} if self.lag_ms else {}
            lag["max.compaction.lag.ms"] = milliseconds
            return config | {"cleanup.policy": "compact"} | lag
        return config | {"cleanup.policy": "delete", "retention.ms": milliseconds}


def _input(name: str, key: str, event: type[events.Event], *, compacted: bool = False) -> Topic:
    return Topic(name, key, event, compacted, max_message_bytes=INPUT_LIMIT, intake=True)


USERS: Final = _input("users", "user_id", events.User, compacted=True)
FILMS: Final = _input("films", "film_id", events.Film, compacted=True)
REGISTRATION: Final = _input("registration", "user_id", events.Registration)
WATCH_HISTORY: Final = _input("watch_history", "user_id", events.Watch)
BOOKMARKS: Final = _input("bookmarks", "user_id", events.Bookmark)
EPISODES: Final = _input("episodes", "series_id", events.Episode)
WEEKLY_REMINDER: Final = _input("weekly_reminder", "", events.WeeklyReminder)
MONTHLY_STATISTIC: Final = _input("monthly_statistic", "", events.MonthlyStatistic)
ACTIVITY: Final = _input("activity", "user_id", events.Activity)
LETTERS: Final = _input("letters", "to", events.Letter)
CAMPAIGNS: Final = _input("campaigns", "campaign_id", events.Campaign, compacted=True)
PREFERENCES: Final = _input("preferences", "user_id", events.Preferences)
CLOCK: Final = Topic(
    "clock",
    "",
    events.Tick,
    retention=timedelta(hours=1),
    max_message_bytes=INPUT_LIMIT,
    intake=True,
)

OUTBOX: Final = Topic("outbox", "user_id", jobs.Job)
OUTBOX_URGENT: Final = Topic("outbox_urgent", "user_id", jobs.Job)  # and jobs.Erase
HELD: Final = Topic("held", "user_id", jobs.Job)
DELIVERIES: Final = Topic("deliveries", "user_id", jobs.Delivery)
INBOX: Final = Topic(
    "inbox",
    "user_id",
    jobs.InboxEntry,
    retention=timedelta(days=400),
)
CONFIRMATIONS: Final = Topic("confirmations", "user_id", jobs.Confirmation)
DEAD_LETTERS: Final = Topic("dead_letters", "topic/partition/offset", jobs.DeadLetter)
SUPPRESSIONS: Final = Topic("suppressions", "address hash", jobs.Suppression, compacted=True)
REVOCATIONS: Final = Topic(
    "revocations",
    "token hash",
    jobs.Revocation,
    retention=timedelta(days=400),
)

INPUTS: Final = (
    USERS,
    FILMS,
    REGISTRATION,
    WATCH_HISTORY,
    BOOKMARKS,
    EPISODES,
    WEEKLY_REMINDER,
    MONTHLY_STATISTIC,
    ACTIVITY,
    LETTERS,
    CAMPAIGNS,
    PREFERENCES,
    CLOCK,
)
OUTPUTS: Final = (
    OUTBOX,
    OUTBOX_URGENT,
    HELD,
    DELIVERIES,
    INBOX,
    CONFIRMATIONS,
    DEAD_LETTERS,
    SUPPRESSIONS,
    REVOCATIONS,
)
TOPICS: Final = {topic.name: topic for topic in INPUTS + OUTPUTS}

#: Decoders of the topics that agents read.
DECODERS: Final = {
    topic.name: msgspec.json.Decoder(topic.value).decode for topic in (*INPUTS, HELD, CONFIRMATIONS)
}
