"""What many people have alike is kept once: a million rows hold the same few lists and marks."""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import Any, Final

# Every zone of the Earth in several states of several campaigns.
KEPT: Final = 1 << 14


def marks(found: dict[str, Any]) -> dict[str, Any]:
    """Return the same marks, texts or tuples of texts by name; nobody changes what is shared."""
    return _marks(tuple(found.items()))


@lru_cache(maxsize=KEPT)
def _marks(items: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {
        intern(name): intern(value) if isinstance(value, str) else tuple(map(intern, value))
        for name, value in items
    }
