"""What a person chose, field by field: it wins over what the cinema knows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from streams.events import Preferences
from streams.fields import QuietHours

# A sentence: a reason may be anything a producer writes, and a row must not grow with it.
REASON_LENGTH: Final = 200


# Without cycles, as all of a person's row (tables/person.py).
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
