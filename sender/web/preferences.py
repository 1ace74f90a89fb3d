"""`/preferences/{token}`: what a person wants to get, in what language, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from sender.web.choices import FIELDS, KINDS_SHOWN, WAYS, Wrong, changes, shown, zones
from sender.web.confirm import later
from sender.web.site import SenderSite
from sender.web.upstream import Upstream
from streams.errors import InvalidLink, Retryable
from streams.records import Output
from streams.topics import DECODERS, PREFERENCES
from streams.web.answers import form
from streams.web.pages import Pages

#: Before a field's name: what the form showed in it.
BEFORE: Final = "was."
# What stands in the times of quiet hours that nobody has set yet.
NIGHT: Final = {"from": "22:00", "to": "08:00"}


class Preferences:
    """The page and what its form does. What is not touched stays as it is."""

    def __init__(self, site: SenderSite, pages: Pages, upstream: Upstream) -> None:
        """Take what the handlers need."""
        self._site = site
        self._pages = pages
        self._upstream = upstream

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/preferences/{token}", self.show)
        web_app.router.add_post("/preferences/{token}", self.change)

    async def show(self, request: web.Request) -> web.Response:
        """Show the form with what holds now, and change nothing."""
        try:
            self._site.links.preferring(request.match_info["token"])
        except InvalidLink:
            return self._pages.message(request, "gone_token", 404)
        before = await self._now(request)
        return self._page(request, before, before)

    async def change(self, request: web.Request) -> web.Response:
        """Publish what was changed; answered once Kafka has it."""
        try:
            user_id = self._site.links.preferring(request.match_info["token"])
        except InvalidLink:
            return self._pages.message(request, "gone_token", 404)
        given = await form(request)
        fields = {name: _text(given, name) for name in FIELDS}
        before = {name: _text(given, BEFORE + name) for name in FIELDS}
        settings, now = self._site.settings, self._site.now()
        try:
            chosen = changes(fields, before, settings.default_timezone, now)
        except Wrong as wrong:
            return self._page(request, fields, before, status=422, wrong=str(wrong))
        if not chosen:
            return self._page(request, fields, before, state="same")
        value = msgspec.json.encode({"user_id": user_id, **chosen})
        # What the form lets through and the schema does not would be a dead letter.
        DECODERS[PREFERENCES.name](value)
        try:
            await self._site.produce([Output(PREFERENCES, user_id, value)])
        except Retryable:
            return later(self._pages, request)
        # Not asked again: the worker that has the person may not have read the event yet.
        saved = {name: fields[name] or before[name] for name in FIELDS}
        return self._page(request, saved, saved, state="saved")

    async def _now(self, request: web.Request) -> dict[str, str]:
        """Return what holds for the person; all "" while no streams worker can say."""
        token = quote(request.match_info["token"], safe="")
        reply = await self._upstream.get(f"/preferences/{token}")
        known = reply is not None and reply.status == 200
        return shown(msgspec.json.decode(reply.body) if reply and known else None)

    def _page(
        self,
        request: web.Request,
        fields: Mapping[str, str],
        before: Mapping[str, str],
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
            fields={name: fields[name] or NIGHT.get(name, "") for name in FIELDS},
            before=before,
            kinds=KINDS_SHOWN,
            ways=WAYS,
            zones=zones(),
            tomorrow=(self._site.now() + timedelta(days=1)).date().isoformat(),
        )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value.strip() if isinstance(value, str) else ""
