"""Tokens in links: signed for one purpose, with a date, so that none opens anything else."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from streams.errors import InvalidLink

UNSUBSCRIBE: Final = "unsubscribe"
PREFERENCES: Final = "preferences"
MONTHS: Final = "months"
LOGIN: Final = "login"


class Tokens:
    """Signs and opens the tokens of links; each purpose has a key of its own."""

    def __init__(self, secret: str) -> None:
        """Use that secret, CINEMA_LINK_SECRET."""
        self._secret = secret
        self._serializers: dict[str, URLSafeTimedSerializer] = {}

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

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        if purpose not in self._serializers:
            self._serializers[purpose] = URLSafeTimedSerializer(
                self._secret,
                salt=f"cinema.{purpose}",
                # itsdangerous falls back to SHA-1 for both.
                signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
            )
        return self._serializers[purpose]
