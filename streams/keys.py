"""The API keys of programs and operators: kept as hashes, each with what it may do."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Literal

from streams.errors import SettingsError
from streams.settings import SECRET_LENGTH

Scope = Literal["intake", "read", "admin"]
SCOPES: Final[frozenset[str]] = frozenset({"intake", "read", "admin"})


class Keys:
    """The keys of CINEMA_API_KEYS: `KEY` may do everything, `KEY:intake+read` what it names."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Hash the keys; raises SettingsError for an unknown scope or a key too short."""
        self._hashes: dict[bytes, frozenset[str]] = {}
        for number, entry in enumerate(entries, 1):
            key, colon, names = entry.partition(":")
            scopes = frozenset(names.split("+")) if colon else SCOPES
            if not scopes <= SCOPES or len(key.encode()) < SECRET_LENGTH:
                raise SettingsError(
                    f"CINEMA_API_KEYS: entry {number} wants KEY or KEY:scope+scope, the key of at"
                    f" least {SECRET_LENGTH} bytes without a colon, scopes of"
                    f" {', '.join(sorted(SCOPES))}"
                )
            digest = _digest(key)
            self._hashes[digest] = self._hashes.get(digest, frozenset()) | scopes

    def scopes(self, presented: str) -> frozenset[str]:
        """Return what that key may do: nothing if it is not known.

        A random key of 128 bits needs no slow hash. Every entry is compared, in constant time.
        """
        digest = _digest(presented)
        found: frozenset[str] = frozenset()
        for known, scopes in self._hashes.items():
            if hmac.compare_digest(known, digest):
                found = scopes
        return found


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
