"""The sender worker's addresses: websocket, viewer, confirm, unsubscribe, preferences, preview.

Plain aiohttp handlers, mounted on Faust's own web app. May import `sender`, `streams` and
`streams.web`'s answers, guard, pages and health.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from sender.web.confirm import Confirm
from sender.web.hub import Hub
from sender.web.preferences import Preferences
from sender.web.preview import Preview
from sender.web.reads import Reads
from sender.web.site import SenderSite
from sender.web.sockets import Sockets
from sender.web.unsubscribe import Unsubscribe
from sender.web.upstream import Upstream
from sender.web.watch import Watch
from streams.keys import Keys
from streams.web import malformed
from streams.web.answers import errors, secure
from streams.web.guard import Guard
from streams.web.health import Health, measured
from streams.web.limiter import Limiter, mark
from streams.web.pages import Pages

__all__ = ["SenderSite", "mount"]


def mount(web_app: web.Application, site: SenderSite) -> None:
    """Add the handlers, and what runs behind them as long as the app does."""
    keys = Keys(site.settings.api_keys)
    limiter = Limiter(site.settings, keys, site.limits, site.metrics)
    guard = Guard(site.settings, keys, site.revocations, limiter)
    pages = Pages(site.settings.default_locale)
    hub = Hub(site.settings.redis)
    reads = Reads(site.inbox, site.produce)
    watch = Watch(site.revocations)
    upstream = Upstream(site.streams, mark(site.settings))

    async def background(web_app: web.Application) -> AsyncIterator[None]:
        await hub.start()
        await site.seats.start()
        await reads.start()
        await watch.start()
        yield
        await watch.stop()
        await reads.stop()
        await site.seats.stop()
        await hub.stop()

    async def viewer(request: web.Request) -> web.Response:
        return pages.page(request, "viewer")

    web_app.middlewares.extend((measured(site.metrics), errors, limiter.middleware))
    web_app.on_response_prepare.append(secure)
    malformed.install()
    web_app.cleanup_ctx.extend((background, upstream.run))
    Health(site.waiting, site.metrics, site.paused).mount(web_app)
    Sockets(site, guard.tokens, limiter, hub, reads, watch).mount(web_app)
    Confirm(site, pages).mount(web_app)
    Unsubscribe(site, pages).mount(web_app)
    Preferences(site, pages, upstream).mount(web_app)
    Preview(site, guard, pages, upstream).mount(web_app)
    web_app.router.add_get("/viewer", viewer)
    pages.mount(web_app)
