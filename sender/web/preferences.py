"""`/preferences/{token}`: what a person wants to get, in what language, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web

from sender.web.confirm import later
from sender.web.site import SenderSite
from streams.errors import InvalidLink, Retryable
from streams.fields import zone, zone_names
from streams.kinds import KINDS
from streams.records import Output
from streams.settings import LOCALES
from streams.topics import DECODERS, PREFERENCES
from streams.web.answers import form
from streams.web.pages import Pages

#: The kinds that can be left, in the order in which the page shows them.
CHOICES: Final = tuple(kind.name for kind in KINDS.values() if kind.unsubscribable)


class Wrong(Exception):
    """A field that cannot be used; the argument names it as the page's texts do."""


class Preferences:
    """The page and what its form does. What is not touched stays as it is."""

    def __init__(self, site: SenderSite, pages: Pages) -> None:
        """Take what the handlers need."""
        self._site = site
        self._pages = pages

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/preferences/{token}", self.show)
        web_app.router.add_post("/preferences/{token}", self.change)

    async def show(self, request: web.Request) -> web.Response:
        """Show the form, and change nothing."""
        try:
            self._site.links.preferring(request.match_info["token"])
        except InvalidLink:
            return self._pages.message(request, "gone_token", 404)
        return self._page(request, {})

    async def change(self, request: web.Request) -> web.Response:
        """Publish what was chosen; answered once Kafka has it."""
        try:
            user_id = self._site.links.preferring(request.match_info["token"])
        except InvalidLink:
            return self._pages.message(request, "gone_token", 404)
        fields = await form(request)
        try:
            changes = changes_of(fields, self._site.settings.default_timezone)
        except Wrong as wrong:
            return self._page(request, fields, status=422, wrong=str(wrong))
        if not changes:
            return self._page(request, fields, state="same")
        value = msgspec.json.encode({"user_id": user_id, **changes})
        # What the form lets through and the schema does not would be a dead letter.
        DECODERS[PREFERENCES.name](value)
        try:
            await self._site.produce([Output(PREFERENCES, user_id, value)])
        except Retryable:
            return later(self._pages, request)
        return self._page(request, {}, state="saved")

    def _page(
        self,
        request: web.Request,
        fields: Mapping[str, Any],
        *,
        status: int = 200,
        state: str = "ask",
        wrong: str = "",
    ) -> web.Response:
        return self._pages.page(
            request,
            "preferences",
            status=status,
            state=state,
            wrong=wrong,
            fields=fields,
            choices=CHOICES,
            zones=zones(),
        )


def changes_of(fields: Mapping[str, Any], default_timezone: str) -> dict[str, Any]:
    """Return the fields of a `preferences` event; raises Wrong for one that cannot be used."""
    given = {name: value.strip() for name, value in fields.items() if isinstance(value, str)}
    changes: dict[str, Any] = {
        "resubscribe": [kind for kind in CHOICES if given.get(kind) == "on"],
        "unsubscribe": [kind for kind in CHOICES if given.get(kind) == "off"],
    }
    changes = {name: kinds for name, kinds in changes.items() if kinds}
    if language := given.get("locale"):
        if language not in LOCALES:
            raise Wrong("locale")
        changes["locale"] = language
    if timezone := given.get("timezone"):
        changes["timezone"] = _zone(timezone)
    match given.get("quiet"):
        case "none":
            changes["quiet_hours"] = None
        case "set":
            start, end = (_time(given.get(name, "")) for name in ("from", "to"))
            changes["quiet_hours"] = {"from": start, "to": end}
    match given.get("pause"):
        case "none":
            changes["pause_until"] = None
        case "set":
            day = _date(given.get("until", ""))
            place = zone(changes.get("timezone", default_timezone))
            changes["pause_until"] = datetime.combine(day, time(), place).isoformat()
    return changes


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
