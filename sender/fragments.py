"""Pieces of mails that come again in other mails: the same film is told to many people.

A macro imported without context is a function of its arguments, so what it made of them is kept.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Final

import msgspec
from jinja2 import Environment, TemplateError, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.runtime import Macro

# Some 1.5 kB each: the films that are told to many in a week are in the hundreds.
KEPT: Final = 1024
# Each film is told in HTML and in text. Buttons and greetings are each person's own.
REPEATED: Final = (("parts.html", "film"), ("parts.txt", "film"))

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


def keep_repeated(environment: Environment) -> None:
    """Have the environment keep what the repeated macros of its parts have made."""
    for file, name in REPEATED:
        try:
            module = environment.get_template(file).module
        except (TemplateError, OSError, ValueError):
            # Whatever imports it fails with the cause.
            continue
        if isinstance(macro := getattr(module, name, None), Macro):
            setattr(module, name, Kept(macro, EvalContext(environment, file)))


class Kept:
    """A macro that keeps what it has made of arguments that are data."""

    def __init__(self, macro: Macro, escaping: EvalContext) -> None:
        """Call that macro; `escaping` says whether what it prints is escaped."""
        self._macro = partial(macro, escaping)
        self._made = lru_cache(KEPT)(self._make)

    @pass_eval_context
    def __call__(self, _: EvalContext, *arguments: Any, **options: Any) -> str:
        """Return what the macro makes of the arguments."""
        try:
            key = None if options else _encode(arguments)
        except (TypeError, ValueError):
            # Markup, say.
            key = None
        return self._macro(*arguments, **options) if key is None else self._made(key)

    def _make(self, arguments: bytes) -> str:
        return self._macro(*_decode(arguments))
