"""The streams worker's addresses: intake, statistics, campaigns, status, health.

Plain aiohttp handlers, mounted on Faust's own web app. May import `streams` alone; `sender.web`
uses its answers, guard, pages and health.
"""

from __future__ import annotations

from aiohttp import web

from streams.keys import Keys
from streams.web import malformed
from streams.web.answers import errors, secure
from streams.web.guard import Guard
from streams.web.health import Health, measured
from streams.web.intake import BODY_LIMIT, Intake
from streams.web.limiter import Limiter, mark
from streams.web.months import Months
from streams.web.operators import Operators, login_link
from streams.web.pages import Pages
from streams.web.peers import Peers
from streams.web.site import Site
from streams.web.status import Status
from streams.web.users import Users

__all__ = ["BODY_LIMIT", "Site", "login_link", "mount"]


def mount(web_app: web.Application, site: Site) -> None:
    """Add the handlers; the application wants `client_max_size=BODY_LIMIT`."""
    keys = Keys(site.settings.api_keys)
    limiter = Limiter(site.settings, keys, site.limits, site.metrics)
    guard = Guard(site.settings, keys, site.revocations, limiter)
    pages = Pages(site.settings.default_locale)
    peers = Peers(mark(site.settings))
    web_app.cleanup_ctx.append(peers.run)
    web_app.middlewares.extend((measured(site.metrics), errors, limiter.middleware))
    web_app.on_response_prepare.append(secure)
    malformed.install()
    Health(site.waiting, site.metrics).mount(web_app)
    Intake(site, guard).mount(web_app)
    Users(site, guard, peers).mount(web_app)
    Months(site, pages, peers).mount(web_app)
    operators = Operators(site, guard, pages, peers)
    operators.mount(web_app)
    Status(site, operators, pages, peers).mount(web_app)
    pages.mount(web_app)
