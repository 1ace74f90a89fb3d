"""Tokens in links: signed for one purpose, with a date, so that none opens anything else."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
from itsdangerous import (
    BadData,
    SignatureExpired,
    Signer,
    TimestampSigner,
    URLSafeTimedSerializer,
)
from itsdangerous.encoding import base64_encode

from streams.errors import InvalidLink

UNSUBSCRIBE: Final = "unsubscribe"
PREFERENCES: Final = "preferences"
MONTHS: Final = "months"
LOGIN: Final = "login"
# A mail may lie in a mailbox for a year, and whoever opens it then must still get out
# (RFC 8058 names no end); the others open a person's data and end sooner.
UNSUBSCRIBE_AGE: Final = timedelta(days=400)
PREFERENCES_AGE: Final = timedelta(days=90)


class Tokens:
    """Signs and opens the tokens of links; each purpose has a key of its own."""

    def __init__(self, secret: str) -> None:
        """Use that secret, CINEMA_LINK_SECRET."""
        self._secret = secret
        self._serializers: dict[str, _Serializer] = {}

    def sign(self, purpose: str, data: Any) -> str:
        """Return a token, safe in a URL, that holds JSON data: all can read, none can change it."""
        return str(self._serializer(purpose).dumps(data))

    def open(self, purpose: str, token: str, max_age: timedelta) -> Any:
        """Return the data of a token made for that purpose.

        Raises InvalidLink for one that is forged, made for another purpose or too old.
        """
        try:
            return self._serializer(purpose).loads(token, max_age=int(max_age.total_seconds()))
        except SignatureExpired:
            raise InvalidLink(f"the {purpose} link has expired") from None
        except BadData:
            raise InvalidLink(f"the {purpose} link is not valid") from None

    def _serializer(self, purpose: str) -> _Serializer:
        if purpose not in self._serializers:
            self._serializers[purpose] = _Serializer(
                self._secret,
                salt=f"cinema.{purpose}",
                signer=_Signer,
                # itsdangerous falls back to SHA-1 for both.
                signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
            )
        return self._serializers[purpose]


class _Signer(TimestampSigner):
    """Derives its key once: the secret stays what it is."""

    _key: bytes | None = None

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        if self._key is None:
            self._key = super().derive_key(secret_key)
        return self._key


class _Serializer(URLSafeTimedSerializer):
    """Has one signer for all tokens, and does not try to compress them: each mail has two."""

    _signer: Signer | None = None

    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        if self._signer is None:
            self._signer = super().make_signer(salt)
        return self._signer

    def dump_payload(self, obj: Any) -> bytes:
        return base64_encode(msgspec.json.encode(obj))
