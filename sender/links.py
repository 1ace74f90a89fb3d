"""The links in a mail: confirmation codes that Redis knows, and tokens that speak for themselves.

A code says nothing and cannot be guessed; what it stands for is in Redis before the mail goes,
and can be rebuilt from the jobs on `outbox_urgent`. `k:` a link by its code, `ku:` a user's codes.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis

from streams import fields
from streams.errors import InvalidLink, RedisUnavailable
from streams.jobs import Job
from streams.kinds import EMAIL, KINDS, MONTHLY_STATISTIC, WELCOME
from streams.links import (
    MONTHS,
    PREFERENCES,
    PREFERENCES_AGE,
    UNSUBSCRIBE,
    UNSUBSCRIBE_AGE,
    Tokens,
)
from streams.serving import Script, answering, digest
from streams.settings import Settings

# So long an expired link may be renewed. What Redis has lost is put back from jobs of 30 days.
RENEWABLE: Final = timedelta(days=30)
CODE: Final = re.compile(fields.CODE)
# What the script says of an unknown code while Redis is not full.
FILLING: Final = 1
# What browsers read otherwise than urlsplit does: white space, control characters, backslashes.
ODD: Final = re.compile(r"[\s\\\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one job; None where the mail must not have one."""

    confirm_url: str | None
    unsubscribe_url: str | None
    preferences_url: str | None
    statistics_url: str | None


@dataclass(frozen=True, slots=True)
class ConfirmLink:
    """What a confirmation code stands for."""

    user_id: str
    email: str
    redirect: str
    expires_at: datetime
    visits: int
    renewed: bool


class LinkMaker:
    """Makes the links of a job."""

    def __init__(self, settings: Settings) -> None:
        """Use the settings' secret and addresses."""
        self._settings = settings
        self._tokens = Tokens(settings.link_secret)

    def of(self, job: Job) -> Links:
        """Return the job's links; the same job has the same confirmation code."""
        base, user = self._settings.public_url, job.user_id
        leaves = job.kind in KINDS and KINDS[job.kind].unsubscribable
        sign = self._tokens.sign
        return Links(
            confirm_url=f"{base}/confirm/{self.code(job)}" if confirms(job) else None,
            unsubscribe_url=f"{base}/unsubscribe/{sign(UNSUBSCRIBE, [user, job.kind])}"
            if leaves
            else None,
            preferences_url=f"{base}/preferences/{sign(PREFERENCES, [user])}" if leaves else None,
            statistics_url=self._months(job) if job.kind == MONTHLY_STATISTIC.name else None,
        )

    def _months(self, job: Job) -> str | None:
        base = self._settings.streams_url
        if base is None:
            # Nobody reaches that page from outside: the mail links to the cinema.
            return None
        token = self._tokens.sign(MONTHS, [job.user_id])
        return f"{base}/me/{token}?lang={job.locale}"

    def code(self, job: Job) -> str:
        """Return the job's confirmation code: 128 bits of HMAC-SHA256, in hex."""
        return confirm_code(self._settings.link_secret, job.job_id)

    def unsubscribing(self, token: str) -> tuple[str, str]:
        """Return user id and kind of an unsubscribe token; raises InvalidLink."""
        user_id, kind = self._tokens.open(UNSUBSCRIBE, token, UNSUBSCRIBE_AGE)
        return user_id, kind

    def preferring(self, token: str) -> str:
        """Return the user id of a preferences token; raises InvalidLink."""
        (user_id,) = self._tokens.open(PREFERENCES, token, PREFERENCES_AGE)
        return str(user_id)


class ConfirmLinks:
    """The confirmation links in Redis. Every method raises RedisUnavailable while it is away."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        """Use that client of the serving store."""
        self._redis = redis
        self._settings = settings
        self._visit = Script(redis, "sender", "link_visit")

    @property
    def life(self) -> timedelta:
        """How long a link lives."""
        return timedelta(days=self._settings.confirm_days)

    @property
    def kept(self) -> timedelta:
        """How long a link is known: one that has expired may be renewed."""
        return self.life + RENEWABLE

    @staticmethod
    def has(job: Job) -> bool:
        """Tell whether the job has a link."""
        return confirms(job)

    async def store(self, jobs: Iterable[Job]) -> None:
        """Write down the links of those jobs that confirm an address, before their mails go.

        Written twice, a link stays what it is, with its visits.
        """
        life = self.life
        pipe: Any = self._redis.pipeline(transaction=True)
        for job in filter(confirms, jobs):
            code = confirm_code(self._settings.link_secret, job.job_id)
            known = {
                "user": job.user_id,
                "email": job.to,
                "redirect": safe_redirect(job.context.get("redirect"), self._settings),
                "until": (job.created_at + life).timestamp(),
            }
            pipe.hset(f"k:{code}", mapping=known)
            pipe.sadd(b"ku:" + digest(job.user_id), code)
            # By Redis's own clock; `until` is in business time.
            pipe.expire(f"k:{code}", self.kept)
            pipe.expire(b"ku:" + digest(job.user_id), self.kept)
        if pipe.command_stack:
            with answering():
                await pipe.execute()

    async def find(self, code: str, now: datetime, *, visit: bool = False) -> ConfirmLink:
        """Return what a code stands for, counting the visit if it is one.

        Raises InvalidLink for a code that is unknown or expired, RedisUnavailable while it may
        still become known.
        """
        link = await self._known(code, visit)
        if link is None or now >= link.expires_at:
            raise InvalidLink("this confirmation link is not known or has expired")
        return link

    async def expired(self, code: str, now: datetime) -> ConfirmLink | None:
        """Return what a code stood for until it expired, None where there is nothing to renew.

        Raises RedisUnavailable as `find` does.
        """
        link = await self._known(code, visit=False)
        return link if link is not None and link.expires_at <= now and not link.renewed else None

    async def renewed(self, code: str) -> None:
        """Note that a new link was asked for in the place of this one: that is done once."""
        with answering():
            await self._redis.hset(f"k:{code}", "renewed", "1")

    async def _known(self, code: str, visit: bool) -> ConfirmLink | None:
        found = await self._visit(code, int(visit)) if CODE.fullmatch(code) else []
        if found == FILLING:
            raise RedisUnavailable("links are being put back")
        if not found:
            return None
        user, email, redirect, until, visits, renewed = found
        return ConfirmLink(
            user.decode(),
            email.decode(),
            redirect.decode(),
            datetime.fromtimestamp(float(until), UTC),
            int(visits),
            renewed is not None,
        )

    async def erase(self, user_id: str) -> None:
        """Forget the user's links."""
        key = b"ku:" + digest(user_id)
        with answering():
            codes: set[Any] = await self._redis.smembers(key)
            await self._redis.delete(key, *(b"k:" + code for code in codes))


def confirms(job: Job) -> bool:
    """Tell whether the job's mail confirms the address it goes to."""
    return job.kind == WELCOME.name and job.channel == EMAIL


def confirm_code(secret: str, job_id: str) -> str:
    """Return a job's confirmation code: 128 bits of HMAC-SHA256 of its id, in hex (CONTRACT)."""
    return hmac.new(secret.encode(), job_id.encode(), sha256).hexdigest()[:32]


def safe_redirect(url: object, settings: Settings) -> str:
    """Return the URL if it leads to one of REDIRECT_HOSTS, else the cinema's home page."""
    if isinstance(url, str) and not ODD.search(url):
        try:
            parts = urlsplit(url)
            host, named = parts.hostname, "@" not in parts.netloc
        except ValueError:
            return settings.cinema_url
        if parts.scheme in ("http", "https") and named and host in settings.redirect_hosts:
            return url
    return settings.cinema_url
