"""Holes: what a template is given in place of a recipient's values, to see what it does with them.

A hole may be printed, and asked whether it is there; whatever else is done with it raises. So a
template that renders with holes does nothing but insert those values, and its output can be cut
where they stand. What a macro returns is text and no hole any more: filters that meet it raise,
too, and whatever else is done to it shows in one of two sentinels, which differ in all they have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final, NamedTuple, NoReturn

from jinja2 import Environment
from markupsafe import escape

# Around each sentinel; of Unicode's private use, so that no value that fills a hole may hold it.
MARK: Final = "\ue000"
# The longer sentinel is longer, and the shorter one about as short, as what may fill a hole: a
# limit or a line's width in between is met by one of them.
LONGEST: Final = 512
FILLERS: Final = ("aЖ", "Zя 7, " * (LONGEST // 6 + 1))


class Touched(Exception):
    """A template did more with a hole than to print it."""


class Hole:
    """A value of which nothing is known but that it is there, and what is printed for it."""

    def __init__(self, printed: str | None) -> None:
        """Print that; None for what may not even be printed."""
        self.printed = printed

    def __bool__(self) -> bool:
        return True

    def _touch(self, *arguments: object) -> NoReturn:
        raise Touched

    # What every object can do; all else is a TypeError.
    __getattribute__ = __eq__ = __ne__ = __hash__ = __str__ = __repr__ = __format__ = _touch


class Place(NamedTuple):
    """Where a value stands in a text, as it is or escaped for HTML."""

    name: str
    escaped: bool


def sentinel(name: str, filler: str) -> str:
    """Return what is printed for a hole: all that an escape, a fold or a change of case alters."""
    return f"{MARK}{name.title()}<&\"'>%/\\{{{{ß{filler}-Ω{MARK}"


def cut(text: str, names: Iterable[str], filler: str) -> tuple[str | Place, ...]:
    """Return a text in pieces, cut at the sentinels of those names: text and places in turn.

    Raises Touched where one was altered.
    """
    places: dict[str, Place] = {}
    for name in names:
        printed = sentinel(name, filler)
        places |= {printed: Place(name, False), str(escape(printed)): Place(name, True)}
    pieces = re.split(f"({'|'.join(map(re.escape, places))})", text) if places else [text]
    if any(MARK in piece for piece in pieces[::2]):
        raise Touched
    return tuple(places[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def guard(environment: Environment) -> Environment:
    """Have the environment print holes, and let no filter or test touch them; return it."""
    environment.finalize = _printed
    environment.filters = {name: _guarded(one) for name, one in environment.filters.items()}
    tests: dict[str, Any] = environment.tests
    environment.tests = {name: _guarded(one) for name, one in tests.items()}
    return environment


def _printed(value: Any) -> Any:
    if type(value) is not Hole:
        return value
    printed = object.__getattribute__(value, "printed")
    if printed is None:
        raise Touched
    return printed


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guarded(*args: Any, **options: Any) -> Any:
        for value in (*args, *options.values()):
            if type(value) is Hole or (isinstance(value, str) and MARK in value):
                raise Touched
        return function(*args, **options)

    return guarded
