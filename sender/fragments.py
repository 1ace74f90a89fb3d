"""Pieces of mails that come again in other mails: the same film is told to many people.

A macro imported without context is a function of its arguments, so what it made of them is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from jinja2 import Environment, TemplateError
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
            setattr(module, name, _kept(macro, EvalContext(environment, file)))


def _kept(macro: Macro, escaping: EvalContext) -> Callable[..., str]:
    @lru_cache(KEPT)
    def made(arguments: bytes) -> str:
        return macro(escaping, *_decode(arguments))

    def call(*arguments: Any) -> str:
        try:
            key = _encode(arguments)
        except (TypeError, ValueError):
            # No data alone: markup, or a hole.
            return macro(escaping, *arguments)
        return made(key)

    return call
