"""What kinds of notification there are, and what each may and must do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

EMAIL: Final = "email"
WEBSOCKET: Final = "websocket"
LOG: Final = "log"
CHANNELS: Final = (EMAIL, WEBSOCKET, LOG)

URGENT: Final = "urgent"
BULK: Final = "bulk"
LANES: Final = (URGENT, BULK)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of notification.

    `waits` holds a mail back until the recipient's delivery window; `unsubscribable` mails carry
    List-Unsubscribe; `expires` counts from when the notification was due.
    """

    name: str
    template: str
    lane: str
    waits: bool
    unsubscribable: bool
    channels: tuple[str, ...]
    expires: timedelta | None


WELCOME: Final = Kind("welcome", "welcome", URGENT, False, False, (EMAIL,), None)
LETTER: Final = Kind("letter", "mail", URGENT, False, False, (EMAIL,), None)
ACTIVITY: Final = Kind("activity", "activity", URGENT, False, True, (WEBSOCKET,), None)
EPISODE: Final = Kind(
    "episode", "bookmarks", BULK, True, True, (EMAIL, WEBSOCKET), timedelta(days=3)
)
WEEKLY_REMINDER: Final = Kind(
    "weekly_reminder", "personal_selection", BULK, True, True, (EMAIL,), timedelta(hours=24)
)
MONTHLY_STATISTIC: Final = Kind(
    "monthly_statistic", "statistics", BULK, True, True, (EMAIL,), timedelta(days=10)
)
TIP: Final = Kind("tip", "tip", BULK, True, True, (EMAIL, WEBSOCKET), timedelta(days=3))

KINDS: Final = {
    kind.name: kind
    for kind in (WELCOME, LETTER, ACTIVITY, EPISODE, WEEKLY_REMINDER, MONTHLY_STATISTIC, TIP)
}
