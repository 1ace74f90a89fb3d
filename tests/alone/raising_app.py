"""The streams app with a bug in what it decides about letters: `faust -A` takes it."""

from __future__ import annotations

from typing import Any

import agents.activity
import streams.app
from streams import kinds
from streams.decisions import notify


def broken(user: Any, kind: Any, *args: Any, **options: Any) -> Any:
    """Raise what nobody expects."""
    if kind is kinds.LETTER:
        raise RuntimeError("a bug")
    return notify(user, kind, *args, **options)


def __getattr__(name: str) -> Any:
    """Give Faust its app."""
    vars(agents.activity)["notify"] = broken
    return getattr(streams.app, name)
