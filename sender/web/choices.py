"""A person's choices as the fields of a form, and what was changed in it as an event.

Every field holds text; "" stands for what is not known, and so for "as it is now". A form carries
beside each field what it showed: only what differs was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import cache
from typing import Any, Final

from streams.fields import YEARS, zone, zone_names
from streams.kinds import EMAIL, KINDS, WEBSOCKET
from streams.settings import LOCALES

#: The kinds that can be left, in the order in which the page shows them.
KINDS_SHOWN: Final = tuple(kind.name for kind in KINDS.values() if kind.unsubscribable)
#: By value of its field, the channels over which a kind may come; `none` is to leave it.
WAYS: Final = {
    "both": (EMAIL, WEBSOCKET),
    "email": (EMAIL,),
    "websocket": (WEBSOCKET,),
}
NONE: Final = "none"
FIELDS: Final = (*KINDS_SHOWN, "locale", "timezone", "quiet", "from", "to", "pause", "until")


class Wrong(Exception):
    """A field that cannot be used; the argument names it as the page's texts do."""


def shown(known: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the form's fields with what holds now, as a streams worker tells it."""
    fields = dict.fromkeys(FIELDS, "")
    if known is None:
        return fields
    for kind in KINDS_SHOWN:
        channels = set(known["channels"][kind])
        if kind in known["unsubscribed"] or not channels:
            fields[kind] = NONE
        else:
            # Other channels than those of the page (SMS) stay what they are until one is chosen.
            fields[kind] = next((way for way, own in WAYS.items() if set(own) == channels), "")
    fields["locale"], fields["timezone"] = known["locale"], known["timezone"]
    fields["quiet"] = "set" if known["quiet_hours"] else NONE
    if quiet := known["quiet_hours"]:
        fields["from"], fields["to"] = quiet["from"][:5], quiet["to"][:5]
    fields["pause"] = NONE
    if known["taboo"]:
        fields["pause"] = "always"
    elif until := known["pause_until"]:
        fields["pause"] = "set"
        local = datetime.fromisoformat(until).astimezone(zone(known["timezone"]))
        fields["until"] = local.date().isoformat()
    return fields


def changes(
    fields: Mapping[str, str], before: Mapping[str, str], default_timezone: str, now: datetime
) -> dict[str, Any]:
    """Return the fields of a `preferences` event; raises Wrong for one that cannot be used.

    `before` is what the form showed.
    """

    def changed(*names: str) -> bool:
        return any(fields[name] not in ("", before[name]) for name in names)

    found: dict[str, Any] = {}
    for kind in filter(changed, KINDS_SHOWN):
        if fields[kind] == NONE:
            found.setdefault("unsubscribe", []).append(kind)
        elif fields[kind] in WAYS:
            found.setdefault("resubscribe", []).append(kind)
            found.setdefault("channels", {})[kind] = list(WAYS[fields[kind]])
        else:
            raise Wrong("kind")
    if changed("locale"):
        if fields["locale"] not in LOCALES:
            raise Wrong("locale")
        found["locale"] = fields["locale"]
    if changed("timezone"):
        found["timezone"] = _zone(fields["timezone"])
    if fields["quiet"] == "set" and changed("quiet", "from", "to"):
        found["quiet_hours"] = {name: _time(fields[name]) for name in ("from", "to")}
    elif fields["quiet"] == NONE and changed("quiet"):
        found["quiet_hours"] = None
    place = found.get("timezone") or _zone(before["timezone"] or default_timezone)
    if changed("pause") or (fields["pause"] == "set" and changed("until")):
        if before["pause"] == "always":
            found["taboo"] = False
        found |= _pause(fields, place, now)
    return found


def _pause(fields: Mapping[str, str], place: str, now: datetime) -> dict[str, Any]:
    match fields["pause"]:
        case "always":
            return {"taboo": True}
        case "set":
            day = _date(fields["until"])
            until = datetime.combine(day, time(), zone(place))
            if until <= now or day.year not in YEARS:
                raise Wrong("pause")
            return {"pause_until": until.isoformat()}
        case "none":
            return {"pause_until": None}
    raise Wrong("pause")


def _zone(value: str) -> str:
    try:
        zone(value)
    except ValueError:
        raise Wrong("timezone") from None
    return value


def _time(value: str) -> str:
    try:
        return time.fromisoformat(value).strftime("%H:%M")
    except ValueError:
        raise Wrong("quiet") from None


def _date(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise Wrong("pause") from None


@cache
def zones() -> tuple[str, ...]:
    """Return the names of zones that people know: those of places."""
    return tuple(sorted(name for name in zone_names() if _is_place(name)))


def _is_place(name: str) -> bool:
    area, slash, _ = name.partition("/")
    return bool(slash) and area not in ("Etc", "SystemV", "US", "posix", "right")
