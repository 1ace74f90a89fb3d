"""All templates of a folder, compiled once, by name, locale and file.

A template is a folder `<name>/<locale>/` with the four files below. One that does not compile is
remembered with its cause: it fails its own jobs, not the worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from babel import Locale, UnknownLocaleError
from jinja2 import (
    Environment,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)
from jinja2 import TemplateError as JinjaError
from jinja2.runtime import Context, Macro

from sender.fragments import Kept, keep_repeated
from sender.holes import guard
from sender.inlining import InliningLoader
from sender.sanitise import paragraphs, plain_text, safe_html, web_link
from streams.errors import TemplateError
from streams.formats import filters
from streams.settings import Settings

TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"
SUBJECT: Final = "subject.txt"
HTML: Final = "body.html"
TEXT: Final = "body.txt"
INBOX: Final = "inbox.txt"
FILES: Final = (SUBJECT, HTML, TEXT, INBOX)
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
# One letter goes to many: its HTML is cleaned once. Few letters are under way at a time, and
# each may be a megabyte.
LETTERS: Final = 8


class Catalogue:
    """The compiled templates, and the words of their frame in each locale."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Compile every template of the folder."""
        self._loader = InliningLoader(folder)
        # Made when a campaign first needs one: compiling costs 10 ms a template.
        self._guarded = lru_cache(maxsize=None)(lambda locale: guard(self._environment(locale)))
        self._default = settings.default_locale
        self._cinema_url = settings.cinema_url
        self._safe_html = lru_cache(LETTERS)(safe_html)
        self._plain_text = lru_cache(LETTERS)(lambda html: plain_text(safe_html(html)))
        self._templates: dict[str, dict[str, dict[str, Template | str]]] = {}
        self._words: dict[str, dict[str, str]] = {}
        for locale in sorted({path.name for path in folder.glob("*/*/") if _is_locale(path.name)}):
            self._words[locale] = self._read_words(folder, locale)
            environment = self._environment(locale)
            keep_repeated(environment)
            for path in sorted(folder.glob(f"*/{locale}/")):
                name = path.parent.name
                if NAME.fullmatch(name):
                    self._templates.setdefault(name, {})[locale] = {
                        file: _compile(environment, f"{name}/{locale}/{file}") for file in FILES
                    }

    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the locales of every template, by its name."""
        return {name: tuple(locales) for name, locales in self._templates.items()}

    def words(self, locale: str) -> dict[str, str]:
        """Return what the frame says in that locale."""
        return self._words[locale]

    def locale(self, name: str, wanted: str) -> str:
        """Return the wanted locale, or the default one where the template lacks it.

        Raises TemplateError where it has neither, or does not exist.
        """
        locales = self._templates.get(name)
        if locales is None:
            known = ", ".join(sorted(self._templates))
            raise TemplateError(f"template {name!r}: there is no such folder; known are {known}")
        for locale in (wanted, self._default):
            if locale in locales:
                return locale
        raise TemplateError(
            f"template {name!r} has neither locale {wanted!r} nor the default {self._default!r}: "
            "add its folder"
        )

    def render(
        self, name: str, locale: str, file: str, fields: Mapping[str, Any], proving: bool = False
    ) -> str:
        """Return one file of a template with its fields filled in.

        `proving`: some are holes. Raises TemplateError that names template, locale and cause,
        whatever the template did.
        """
        template = self._templates[name][locale][file]
        if proving:
            template = _compile(self._guarded(locale), f"{name}/{locale}/{file}")
        if isinstance(template, str):
            raise TemplateError(f"template {name}/{locale}/{file}: {template}")
        try:
            return template.render(fields)
        except Exception as error:
            raise TemplateError(f"template {name}/{locale}/{file}: {_cause(error)}") from error

    def _environment(self, locale: str) -> Environment:
        environment = _Environment(
            loader=self._loader,
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        environment.filters.update(
            filters(locale),
            paragraphs=paragraphs,
            safe_html=self._safe_html,
            plain_text=self._plain_text,
            web=lambda url: web_link(url, self._cinema_url),
        )
        # A mail that is sent again is the same mail.
        del environment.filters["random"], environment.globals["lipsum"]
        return environment

    def _read_words(self, folder: Path, locale: str) -> dict[str, str]:
        for one in (locale, self._default):
            path = folder / "words" / f"{one}.json"
            if path.is_file():
                words: dict[str, str] = json.loads(path.read_text("utf-8"))
                return words
        return {}


class _Context(Context):
    def call(self, obj: Any, *args: Any, **options: Any) -> Any:
        """Call macros, as Jinja does when it has asked whatever else they could be."""
        if type(obj) is not Macro and type(obj) is not Kept:
            return super().call(obj, *args, **options)
        # What Jinja adds for functions that take a context.
        options.pop("_block_vars", None)
        options.pop("_loop_vars", None)
        return obj(self.eval_ctx, *args, **options)


class _Environment(Environment):
    context_class = _Context

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look into a context's objects before Jinja does: it tries their methods first.

        That costs an exception for each field.
        """
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def make_globals(self, own: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return a template's globals as a dict: each mail copies them, and looks through them.

        Jinja's own are a ChainMap, which does both in Python.
        """
        return {**self.globals, **(own or {})}


def _compile(environment: Environment, name: str) -> Template | str:
    """Return the template, or why there is none."""
    try:
        return environment.get_template(name)
    except (JinjaError, OSError, ValueError) as error:
        return _cause(error)


def _cause(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"{error.name} is missing: add the file"
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    if isinstance(error, JinjaError):
        return f"{type(error).__name__}: {error}"
    # The message of any other error may quote a person's data; this one ends up in logs.
    return f"{type(error).__name__}, raised by a value of the context"


def _is_locale(name: str) -> bool:
    try:
        Locale.parse(name)
    except (ValueError, UnknownLocaleError):
        return False
    return True
