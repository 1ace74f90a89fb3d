"""Who may ask for what: API keys with scopes, a person's own token, an operator's cookie."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from aiohttp import web

from streams import links
from streams.errors import InvalidLink, NotAllowed
from streams.keys import Keys, Scope
from streams.revocations import Revocations
from streams.settings import Settings
from streams.tokens import Tokens
from streams.web.answers import problem, unauthorized
from streams.web.asking import bearer, from_loopback
from streams.web.limiter import Limiter

# One hour: a shift at a screen, not a way in for a stolen laptop (CONTRACT, "HTTP").
SESSION: Final = timedelta(hours=1)
#: The purpose that a cookie's token is signed for (see streams/links.py).
PURPOSE: Final = "session"
COOKIE: Final = "cinema_session"


class Guard:
    """Answers who is asking. Every method returns None for yes and the refusal for no."""

    def __init__(
        self, settings: Settings, keys: Keys, revocations: Revocations, limiter: Limiter
    ) -> None:
        """Read the secrets; raises SettingsError for a wrong one."""
        self._revocations = revocations
        self._limiter = limiter
        self._keys = keys
        self.tokens = Tokens(settings)
        self._loopback = settings.intake_loopback
        self._secure = settings.public_url.startswith("https://")
        self._links = links.Tokens(settings.link_secret)

    def intake(self, request: web.Request, topic: str) -> web.Response | None:
        """Let those post whose key has the scope, all or that topic's; loopback where it is set."""
        return None if self._believed(request) else self._key(request, "intake", f"intake/{topic}")

    def erasure(self, request: web.Request) -> web.Response | None:
        """Let those who may post erase people, too, whose key has the scope admin."""
        return None if self._believed(request) else self._key(request, "admin")

    def reader(self, request: web.Request) -> web.Response | None:
        """Let those with a key of scope read in, or with the cookie that stands for one."""
        if "Authorization" not in request.headers and self.has_session(request):
            return None
        return self._key(request, "read")

    async def person(self, request: web.Request, user_id: str) -> web.Response | None:
        """Let readers in, and the person with a token of their own.

        Raises RedisUnavailable where nobody can tell whether the token was revoked: a token that
        was taken away must not come back to life with an outage.
        """
        presented = bearer(request)
        # A JWT has two dots (RFC 7515, 7.1); a key may have them too, so keys come first.
        if presented is None or self._keys.scopes(presented) or presented.count(".") != 2:
            return self.reader(request)
        try:
            claims = self.tokens.verify(presented)
            await self._revocations.check(claims)
        except NotAllowed as error:
            return unauthorized(str(error))
        if claims.user_id != user_id:
            return problem(403, "the token is another person's")
        return await self._limiter.person(request, user_id)

    def login(self, key: str | None, link: str | None) -> bool:
        """Tell whether that key or login link opens a session."""
        if key:
            return "read" in self._keys.scopes(key)
        return bool(link) and self.opens(link or "")

    def opens(self, link: str) -> bool:
        """Tell whether a login link's token is ours and not older than an hour."""
        return self._signed(links.LOGIN, link)

    def start_session(self, response: web.StreamResponse) -> None:
        """Set the cookie that stands for a key of scope read for an hour."""
        response.set_cookie(
            COOKIE,
            self._links.sign(PURPOSE, "read"),
            max_age=int(SESSION.total_seconds()),
            httponly=True,
            samesite="Strict",
            secure=self._secure,
            path="/",
        )

    def has_session(self, request: web.Request) -> bool:
        """Tell whether the request carries a cookie of ours, signed within the hour."""
        return self._signed(PURPOSE, request.cookies.get(COOKIE, ""))

    def _believed(self, request: web.Request) -> bool:
        """Tell whether this is a program here that shows no key and needs none."""
        return "Authorization" not in request.headers and self._loopback and from_loopback(request)

    def _signed(self, purpose: str, token: str) -> bool:
        try:
            self._links.open(purpose, token, SESSION)
        except InvalidLink:
            return False
        return True

    def _key(self, request: web.Request, scope: Scope, *also: str) -> web.Response | None:
        presented = bearer(request)
        scopes = self._keys.scopes(presented) if presented else frozenset()
        if not scopes:
            return unauthorized("wants `Authorization: Bearer KEY` with a key we know", 40101)
        if scopes.isdisjoint({scope, *also}):
            return problem(403, f"the key lacks the scope {scope}", 40301)
        return None
