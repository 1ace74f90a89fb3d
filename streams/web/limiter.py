"""The limits of what may be asked over HTTP, before anything is done for a request."""

from __future__ import annotations

import hmac
import math
from typing import Final

from aiohttp import web

from streams.keys import Keys
from streams.limits import ADDRESS, FORM, KEY, LOGIN, USER, Asked, Limits, Rate, Refused
from streams.metrics import Metrics
from streams.settings import Settings
from streams.web.answers import Handler, problem
from streams.web.asking import bearer, on_this_machine, origin_of

#: On what one worker asks another for somebody: the request was counted where it came in.
COUNTED: Final = "Cinema-Counted"
#: Answered from memory: supervisors, Prometheus, and the parts of a page.
FREE: Final = frozenset({"/health/live", "/health/ready", "/metrics", "/static/{name}"})
#: By method and route: what becomes an event or a mail, and what can be guessed.
FORMS: Final[dict[tuple[str, str], Rate]] = {
    ("POST", "/login"): LOGIN,
    ("POST", "/confirm/{code}"): FORM,
    ("POST", "/unsubscribe/{token}"): FORM,
    ("POST", "/preferences/{token}"): FORM,
}


def mark(settings: Settings) -> str:
    """Return the value of COUNTED: only workers can make it, since they share a secret.

    A peer's address would tell less: programs that are no workers run on the same machines.
    """
    secret = settings.link_secret.encode()
    return hmac.digest(secret, b"a worker counted this request", "sha256").hex()


class Limiter:
    """Counts requests by key, else by address; forms by address too, people by their token.

    Programs on this machine, where INTAKE_LOOPBACK believes them, are one key.
    """

    def __init__(self, settings: Settings, keys: Keys, limits: Limits, metrics: Metrics) -> None:
        """Take the keys that are known and where requests are counted."""
        self._keys = keys
        self._limits = limits
        self._proxies = settings.trusted_proxies
        self._loopback = settings.intake_loopback
        self._mark = mark(settings).encode()
        self._limited = metrics.counter("limited", "Requests over a limit.", "by")

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is over a limit, unread."""
        refused = await self._limits.take(*self._asked(request))
        return self._too_many(refused) if refused else await handler(request)

    async def person(self, request: web.Request, user_id: str) -> web.Response | None:
        """Count a request with a person's own token; return the refusal where it is one."""
        if self._was_counted(request) or self._is_local(request):
            return None
        refused = await self._limits.take((USER, user_id))
        return self._too_many(refused) if refused else None

    def _asked(self, request: web.Request) -> Asked:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else ""
        if route in FREE or self._was_counted(request):
            return ()
        key, local = bearer(request), self._is_local(request)
        if key is not None and self._keys.scopes(key):
            who = KEY, key
        elif local:
            who = KEY, "loopback"
        else:
            who = ADDRESS, origin_of(request, self._proxies)
        form = FORMS.get((request.method, route))
        if form is None or local:
            return (who,)
        # With a key, too: one that may only post must not guess one that may read any faster.
        return who, (form, origin_of(request, self._proxies))

    def _is_local(self, request: web.Request) -> bool:
        return self._loopback and on_this_machine(request)

    def _was_counted(self, request: web.Request) -> bool:
        said = request.headers.get(COUNTED)
        return said is not None and hmac.compare_digest(
            said.encode("utf-8", "surrogateescape"), self._mark
        )

    def _too_many(self, refused: Refused) -> web.Response:
        self._limited.labels(refused.what).inc()
        seconds = str(max(1, math.ceil(refused.seconds)))
        return problem(429, "too many requests", headers={"Retry-After": seconds})
