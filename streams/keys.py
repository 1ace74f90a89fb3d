"""The API keys of programs and operators: kept as hashes, each with what it may do.

The setting may hold the hash in place of the key: `sha256-HEX`. A key of ours is 256 random bits,
so a slow hash, which makes guessing of passwords dear, would only make every request dear.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Literal

from streams.errors import SettingsError
from streams.settings import SECRET_LENGTH
from streams.topics import INPUTS

#: Post events; see what is known; erase people where one may post (see streams/web/guard.py).
Scope = Literal["intake", "read", "admin"]
SCOPES: Final[frozenset[str]] = frozenset({"intake", "read", "admin"})
#: The scope of one topic alone: `intake/activity`.
TOPIC_SCOPES: Final = frozenset(f"intake/{topic.name}" for topic in INPUTS)
HASHED: Final = re.compile(r"sha256-([0-9a-f]{64})")
# 256 bits.
KEY_BYTES: Final = 32


class Keys:
    """The keys of CINEMA_API_KEYS: `KEY` may do everything, `KEY:intake+read` what it names.

    `sha256-HEX` stands for the key with that hash.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Hash the keys; raises SettingsError for an unknown scope or a key too short."""
        self._hashes: dict[bytes, frozenset[str]] = {}
        for number, entry in enumerate(entries, 1):
            key, colon, names = entry.partition(":")
            scopes = frozenset(names.split("+")) if colon else SCOPES
            if not scopes <= SCOPES | TOPIC_SCOPES or len(key.encode()) < SECRET_LENGTH:
                raise SettingsError(
                    f"CINEMA_API_KEYS: entry {number} wants KEY or KEY:scope+scope, the key of at"
                    f" least {SECRET_LENGTH} bytes without a colon, or sha256-HEX in its place,"
                    f" scopes of {', '.join(sorted(SCOPES))} or intake/TOPIC"
                )
            hashed = HASHED.fullmatch(key)
            digest = bytes.fromhex(hashed[1]) if hashed else _digest(key)
            self._hashes[digest] = self._hashes.get(digest, frozenset()) | scopes

    def scopes(self, presented: str) -> frozenset[str]:
        """Return what that key may do: nothing if it is not known.

        Every entry is compared, in constant time.
        """
        digest = _digest(presented)
        found: frozenset[str] = frozenset()
        for known, scopes in self._hashes.items():
            if hmac.compare_digest(known, digest):
                found = scopes
        return found


def entry_of(key: str, scopes: Iterable[str] = ()) -> str:
    """Return a key's entry in the setting: its hash, and its scopes if it has not all."""
    return ":".join(part for part in (f"sha256-{_digest(key).hex()}", "+".join(scopes)) if part)


def new_key() -> str:
    """Return a key that nobody can guess, of characters that need no quoting anywhere."""
    return secrets.token_urlsafe(KEY_BYTES)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
