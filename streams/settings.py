"""The settings, all of them: one frozen dataclass read from the environment, prefix `CINEMA_`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import time
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from streams import kinds
from streams.errors import SettingsError
from streams.faults import Fault
from streams.fields import zone_names

PREFIX: Final = "CINEMA_"
# 128 bits: what an HMAC-SHA256 key must hold at least to be worth its name (RFC 2104, section 3).
SECRET_LENGTH: Final = 16
LOCALES: Final = ("ru", "en")
ANY_DOMAIN: Final = "*"
#: Without these no worker starts.
SECRETS_NEEDED: Final = ("jwt_secret", "link_secret", "api_keys")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """One mail server: where it is and how its connection is protected."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    starttls: Literal["require", "auto", "never"] = "auto"
    pipelining: bool = True

    @classmethod
    def from_url(cls, url: str) -> SmtpServer:
        """Read `smtp[s]://user:password@host:port?starttls=...&pipelining=...`.

        `starttls` is require, auto or never; `pipelining` auto or never.
        """
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        starttls = query.get("starttls", ["auto"])[0]
        pipelining = query.get("pipelining", ["auto"])[0]
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("wants smtp[s]://[user:password@]host[:port]")
        if starttls not in ("require", "auto", "never"):
            raise ValueError("starttls is one of require, auto, never")
        if pipelining not in ("auto", "never"):
            raise ValueError("pipelining is auto or never")
        tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if tls else 587 if parts.username else 25),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=tls,
            starttls=starttls,  # type: ignore[arg-type]
            pipelining=pipelining == "auto",
        )


@dataclass(frozen=True, slots=True)
class DomainLimit:
    """What may go to one mail domain: mails at once, and mails a second (None: any number)."""

    domain: str
    connections: int
    rate: float | None = None

    @classmethod
    def from_text(cls, text: str) -> DomainLimit:
        """Read `gmail.com=4/20` or, without a rate, `gmail.com=4`; `*` is every other domain."""
        match = re.fullmatch(r"([^=@\s]+)=(\d{1,4})(?:/(\d{1,6}(?:\.\d{1,3})?))?", text)
        if match is None:
            raise ValueError(
                f"{text!r} wants DOMAIN=CONNECTIONS or DOMAIN=CONNECTIONS/MAILS_A_SECOND, such as "
                "gmail.com=4/20, and * for every other domain"
            )
        connections, rate = int(match[2]), float(match[3]) if match[3] else None
        if connections == 0 or rate == 0:
            raise ValueError(f"{text!r} would let nothing through: want more than 0")
        return cls(match[1].lower(), connections, rate)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of local time; one that ends before it starts passes midnight."""

    start: time
    end: time

    @classmethod
    def from_text(cls, text: str) -> Window:
        """Read `09:00-21:00`."""
        match = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", text)
        if match is None:
            raise ValueError("wants HH:MM-HH:MM")
        return cls(time.fromisoformat(match[1]), time.fromisoformat(match[2]))

    def __contains__(self, local: time) -> bool:
        """Tell whether that local time lies inside; the end does not."""
        if self.start == self.end:
            return True
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Field `x` is read from `CINEMA_X`."""

    # where things are
    broker: str = "kafka://localhost:9092"
    redis: str = "redis://localhost:6379/0"
    smtp: tuple[SmtpServer, ...] = (SmtpServer("localhost", 25),)
    mail_from: str = "Cinema <noreply@localhost>"
    public_url: str = "http://localhost:6067"
    streams_url: str | None = None
    cinema_url: str = "http://localhost/"
    redirect_hosts: frozenset[str] = frozenset()
    # secrets: no defaults
    jwt_secret: str = field(default="", repr=False)
    jwks_file: Path | None = None
    jwt_algorithms: tuple[str, ...] = ("HS256", "RS256", "ES256")
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    link_secret: str = field(default="", repr=False)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    # the doors
    confirm_days: int = 7
    confirm_on_get: bool = False
    intake_loopback: bool = False
    allowed_origins: frozenset[str] = frozenset()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    streams_port: int = 6066
    sender_port: int = 6067
    web_bind: str = "127.0.0.1"
    # topics and time
    partitions: int = 8
    replication: int = 1
    standby_replicas: int = 0
    clock: Literal["wall", "topic"] = "wall"
    lanes: tuple[str, ...] = kinds.LANES
    default_timezone: str = "UTC"
    default_locale: str = "en"
    delivery_window: Window = Window(time(9), time(21))
    # So long who is at the screen may wait for a notice, and a burst of likes lasts.
    group_seconds: int = 120
    # Two lanes of 16: where more connections gave no more mails a second (LIMITS: 8 to 16).
    mails_in_flight: int = 32
    domain_limits: tuple[DomainLimit, ...] = ()
    data_dir: Path = Path("data")
    retry_scale: float = 1.0
    errors_in_a_row: int = 100
    fault: Fault | None = None

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, needs: Collection[str] = SECRETS_NEEDED
    ) -> Settings:
        """Read the settings from the environment; a command `needs` fewer secrets than a worker.

        Raises SettingsError with every wrong or missing setting in one line.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        wrong: list[str] = []
        for name in (item.name for item in fields(cls)):
            text = environ.get(PREFIX + name.upper())
            if text is None or text.strip() == "":
                continue
            try:
                values[name] = READERS[name](text.strip())
            except ValueError as error:
                shown = "(hidden)" if name in SECRETS else repr(text)
                wrong.append(f"{PREFIX}{name.upper()}={shown}: {error}")
        tried = any(
            f"{PREFIX}{name}=" in text for name in ("JWT_SECRET", "JWKS_FILE") for text in wrong
        )
        keyless = "jwt_secret" not in values and "jwks_file" not in values
        if "jwt_secret" in needs and keyless and not tried:
            wrong.append(f"{PREFIX}JWT_SECRET or {PREFIX}JWKS_FILE is not set: set one of them")
        for name in sorted({"link_secret", "api_keys"} & {*needs} - {*values}):
            if not any(PREFIX + name.upper() + "=" in w for w in wrong):
                wrong.append(f"{PREFIX}{name.upper()} is not set: it has no default")
        if wrong:
            raise SettingsError("; ".join(wrong))
        return cls(**values)


SECRETS: Final = frozenset({"jwt_secret", "link_secret", "api_keys", "smtp", "redis"})


def _secret(text: str) -> str:
    if len(text.encode()) < SECRET_LENGTH:
        raise ValueError(f"is shorter than {SECRET_LENGTH} bytes: use a random one")
    return text


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"wants a whole number from {low} to {high}")
        return int(text)

    return read


def _scale(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise ValueError("wants a number such as 1 or 0.01")
    return float(text)


def _yes(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise ValueError("wants true or false")


def _many(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def read_many(text: str) -> tuple[T, ...]:
        return tuple(read(part.strip()) for part in re.split(r"[,\s]+", text) if part.strip())

    return read_many


def _once_each(limits: tuple[DomainLimit, ...]) -> tuple[DomainLimit, ...]:
    for limit in limits:
        if sum(other.domain == limit.domain for other in limits) > 1:
            raise ValueError(f"names {limit.domain} more than once")
    return limits


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError("is one of " + ", ".join(allowed))
        return text

    return read


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.netloc:
            raise ValueError(
                "wants a URL that starts with " + " or ".join(f"{s}://" for s in schemes)
            )
        return text

    return read


def _zone(text: str) -> str:
    if text not in zone_names():
        raise ValueError("is no IANA time zone, such as Europe/Berlin")
    return text


def _mailbox(text: str) -> str:
    if "@" not in text or any(mark in text for mark in "\r\n"):
        raise ValueError("wants an address, such as Cinema <noreply@cinema.example>")
    return text


def _existing(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("there is no such file")
    return Path(text)


READERS: Final[dict[str, Callable[[str], Any]]] = {
    "broker": _url("kafka", "embedded"),
    "redis": _url("redis", "rediss"),
    "smtp": _many(SmtpServer.from_url),
    "mail_from": _mailbox,
    "public_url": lambda text: _url("http", "https")(text).rstrip("/"),
    "streams_url": lambda text: _url("http", "https")(text).rstrip("/"),
    "cinema_url": _url("http", "https"),
    "redirect_hosts": lambda text: frozenset(host.lower() for host in _many(str)(text)),
    "jwt_secret": _secret,
    "jwks_file": _existing,
    "jwt_algorithms": _many(_one_of("HS256", "RS256", "ES256")),
    "jwt_audience": str,
    "jwt_issuer": str,
    "link_secret": _secret,
    "api_keys": _many(_secret),
    "confirm_days": _whole(1, 366),
    "confirm_on_get": _yes,
    "intake_loopback": _yes,
    "allowed_origins": lambda text: frozenset(_many(_url("http", "https"))(text)),
    "trusted_proxies": _many(ip_network),
    "streams_port": _whole(1, 65535),
    "sender_port": _whole(1, 65535),
    "web_bind": str,
    "partitions": _whole(1, 1000),
    "replication": _whole(1, 10),
    "standby_replicas": _whole(0, 1),
    "clock": _one_of("wall", "topic"),
    "lanes": _many(_one_of(*kinds.LANES)),
    "default_timezone": _zone,
    "default_locale": _one_of(*LOCALES),
    "delivery_window": Window.from_text,
    # A day: what has waited longer is news no more.
    "group_seconds": _whole(1, 86_400),
    # At least one for each lane.
    "mails_in_flight": _whole(len(kinds.LANES), 1000),
    "domain_limits": lambda text: _once_each(_many(DomainLimit.from_text)(text)),
    "data_dir": Path,
    "retry_scale": _scale,
    "errors_in_a_row": _whole(1, 1_000_000),
    "fault": Fault.from_text,
}
