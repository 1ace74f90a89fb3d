"""A person's own token: a JWT of the cinema's auth service, checked and never made here."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt

from streams.errors import NotAllowed, SettingsError
from streams.fields import ID_LENGTH, ident
from streams.settings import SECRET_LENGTH, Settings

logger = logging.getLogger(__name__)

# Proxies refuse headers over 8 KiB; no honest token comes near.
TOKEN_LENGTH: Final = 8192
# What a JWK without `alg` is good for (RFC 7518, section 6.1): one algorithm a kind of key.
ALGORITHM_OF: Final = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}


class Claims(NamedTuple):
    """Who the token speaks for, and what it can be revoked by; times are Unix seconds.

    A token that does not say when it was issued counts as older than any revocation.
    """

    user_id: str
    expires_at: float
    issued_at: float = 0.0
    jti: str | None = None


class _Key(NamedTuple):
    key: Any
    algorithm: str


class Tokens:
    """Checks tokens. The `kid` chooses the key and the key pins the algorithm (RFC 8725, 3.1)."""

    def __init__(self, settings: Settings) -> None:
        """Read the keys; raises SettingsError where the file holds none that can be used."""
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._secret: dict[str | None, _Key] = {}
        if settings.jwt_secret and "HS256" in settings.jwt_algorithms:
            self._secret[None] = _Key(settings.jwt_secret, "HS256")
        self._file = settings.jwks_file
        self._allowed = settings.jwt_algorithms
        self._stamp = _stamp(self._file)
        self._keys = self._secret | self._read()

    def verify(self, token: str) -> Claims:
        """Return the token's claims; raises NotAllowed for any token that is not in order."""
        if len(token) > TOKEN_LENGTH:
            raise NotAllowed("the token is too long")
        self._look()
        try:
            key = self._keys[jwt.get_unverified_header(token).get("kid")]
            payload = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self._audience is not None,
                    # Issuers write numbers too; `iat` says nothing about validity (RFC 7519).
                    "verify_sub": False,
                    "verify_iat": False,
                },
            )
            expires_at, issued_at = float(int(payload["exp"])), _issued_at(payload)
        except jwt.ExpiredSignatureError:
            raise NotAllowed("the token has expired") from None
        except KeyError:
            raise NotAllowed("no key for the token's kid") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise NotAllowed(f"the token is not valid ({type(error).__name__})") from None
        return Claims(_subject(payload["sub"]), expires_at, issued_at, _name(payload.get("jti")))

    def _look(self) -> None:
        """Take the key set's file as it is now: keys come and go without a restart."""
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = self._secret | self._read()
        except SettingsError as error:
            # Written half, or gone for a moment: the keys of before are better than none.
            logger.error("the keys stay as they were: %s", error)
        else:
            logger.warning("the key set was read again: %d keys", len(self._keys))

    def _read(self) -> dict[str | None, _Key]:
        if self._file is None:
            return {}
        return dict(_read(self._file, self._allowed).items())


def _stamp(path: Path | None) -> tuple[int, ...] | None:
    """Return what changes with a file: one that is replaced has another inode."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _issued_at(payload: Mapping[str, Any]) -> float:
    value = payload.get("iat")
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _name(value: object) -> str | None:
    """Return the token's own id where it is one (RFC 7519, 4.1.7)."""
    return value if isinstance(value, str) and value else None


def _subject(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotAllowed("the token's `sub` is no id")
    user_id = ident(value)
    if not 0 < len(user_id) <= ID_LENGTH:
        raise NotAllowed("the token's `sub` is no id")
    return user_id


def _read(path: Path, allowed: tuple[str, ...]) -> Mapping[str, _Key]:
    """Read the signing keys of a JWKS file (RFC 7517); those for other purposes are left out."""
    name = f"CINEMA_JWKS_FILE={str(path)!r}"
    try:
        entries = json.loads(path.read_bytes())["keys"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(f"{name}: is no JSON Web Key Set") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError(f"{name}: is no JSON Web Key Set")
    keys: dict[str, _Key] = {}
    for entry in entries:
        kid, algorithm = entry.get("kid"), entry.get("alg") or ALGORITHM_OF.get(entry.get("kty"))
        if entry.get("use", "sig") != "sig" or algorithm not in allowed:
            continue
        if not isinstance(kid, str) or kid in keys:
            raise SettingsError(f"{name}: every key wants a `kid` of its own, {kid!r} is not")
        try:
            keys[kid] = _Key(jwt.PyJWK(entry, algorithm), algorithm)
        except jwt.PyJWTError as error:
            # Without its words: they may show the key.
            raise SettingsError(
                f"{name}: the key {kid!r} cannot be read ({type(error).__name__})"
            ) from None
        if algorithm == "HS256" and len(keys[kid].key.key) < SECRET_LENGTH:
            raise SettingsError(f"{name}: the key {kid!r} is shorter than {SECRET_LENGTH} bytes")
    if not keys:
        raise SettingsError(f"{name}: holds no key for {', '.join(allowed)}")
    return keys
