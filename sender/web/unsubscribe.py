"""`/unsubscribe/{token}`: out of one kind of mail with one click (RFC 8058), and back in."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from sender.web.confirm import later
from sender.web.site import SenderSite
from streams.errors import InvalidLink, Retryable
from streams.kinds import KINDS
from streams.records import Output
from streams.topics import PREFERENCES
from streams.web.answers import form
from streams.web.pages import Pages


class Unsubscribe:
    """The page and what its form, or a mail provider's one click, does."""

    def __init__(self, site: SenderSite, pages: Pages) -> None:
        """Take what the handlers need."""
        self._site = site
        self._pages = pages
        self._changes = site.metrics.counter(
            "unsubscribes", "Changes by link.", "kind", "change", "reason"
        )

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/unsubscribe/{token}", self.show)
        web_app.router.add_post("/unsubscribe/{token}", self.change)

    async def show(self, request: web.Request) -> web.Response:
        """Say from what one would unsubscribe, and change nothing."""
        try:
            _, kind = self._open(request)
        except InvalidLink:
            return self._gone(request)
        return self._pages.page(request, "unsubscribe", state="ask", kind=kind, thanks=False)

    async def change(self, request: web.Request) -> web.Response:
        """Unsubscribe (with `undo`: subscribe again), answered once Kafka has it."""
        try:
            user_id, kind = self._open(request)
        except InvalidLink:
            return self._gone(request)
        fields = await form(request)
        undo = bool(fields.get("undo"))
        event: dict[str, Any] = {
            "user_id": user_id,
            "resubscribe" if undo else "unsubscribe": [kind],
        }
        reason = fields.get("reason")
        if known := reason in self._pages.texts("en")["unsubscribe"]["reasons"]:
            event["reason"] = reason
        try:
            await self._site.produce([Output(PREFERENCES, user_id, msgspec.json.encode(event))])
        except Retryable:
            return later(self._pages, request)
        # The reason comes by itself, from whoever has left already.
        change = "undo" if undo else "reason" if known else "leave"
        self._changes.labels(kind, change, reason if known else "").inc()
        return self._pages.page(
            request, "unsubscribe", state="undone" if undo else "done", kind=kind, thanks=known
        )

    def _open(self, request: web.Request) -> tuple[str, str]:
        user_id, kind = self._site.links.unsubscribing(request.match_info["token"])
        if kind not in KINDS:
            raise InvalidLink(f"there is no kind {kind!r} any more")
        return user_id, kind

    def _gone(self, request: web.Request) -> web.Response:
        return self._pages.message(request, "gone_token", 404)
