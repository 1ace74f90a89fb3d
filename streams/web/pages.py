"""Our HTML pages: one Jinja environment, texts in two languages, static files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from streams import formats
from streams.settings import LOCALES
from streams.web.answers import POLICY

FOLDER: Final = Path(__file__).resolve().parents[2] / "templates" / "pages"
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: One language range with its weight (RFC 9110, 12.5.4).
LANGUAGE: Final = re.compile(r"\s*([A-Za-z]{2})(?:-[\w-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")


class Pages:
    """Renders pages and serves the few files that they load."""

    def __init__(self, default_locale: str) -> None:
        """Compile nothing yet: Jinja does on first use, and keeps it."""
        self._default = default_locale
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._filters = {locale: formats.filters(locale) for locale in LOCALES}
        self._texts = {locale: _texts(locale) for locale in LOCALES}
        self._files = {
            path.name: (path.read_bytes(), TYPES[path.suffix])
            for path in sorted((FOLDER / "static").iterdir())
            if path.suffix in TYPES
        }

    def locale(self, request: web.Request) -> str:
        """Return the language to answer in: `?lang=`, else Accept-Language, else the default."""
        asked = request.query.get("lang", "")
        if asked in LOCALES:
            return asked
        return preferred(request.headers.get("Accept-Language", "")) or self._default

    def page(
        self,
        request: web.Request,
        name: str,
        *,
        status: int = 200,
        locale: str | None = None,
        form_to: str | None = None,
        **context: Any,
    ) -> web.Response:
        """Render templates/pages/<name>.html. `form_to` is a URL that its form may lead on to."""
        chosen = locale or self.locale(request)
        text = self._environment.get_template(f"{name}.html").render(
            t=self._texts[chosen], f=self._filters[chosen], locale=chosen, page=name, **context
        )
        response = web.Response(text=text, status=status, content_type="text/html")
        response.headers["Content-Language"] = chosen
        response.headers["Vary"] = "Accept-Language"
        if form_to is not None:
            # Chromium holds the redirect that answers a form against form-action too.
            response.headers["Content-Security-Policy"] = POLICY.format(
                form=f"'self' {origin_of(form_to)}"
            )
        return response

    def message(
        self, request: web.Request, name: str, status: int, *, url: str | None = None
    ) -> web.Response:
        """Render the page that only says something; `url` is where its button leads."""
        said = self._texts[self.locale(request)]["messages"][name]
        return self.page(
            request,
            "message",
            status=status,
            title=said["title"],
            text=said["text"],
            link=said.get("link"),
            url=url,
        )

    def texts(self, locale: str) -> dict[str, Any]:
        """Return the pages' texts in that language."""
        return self._texts[locale]

    async def static(self, request: web.Request) -> web.Response:
        """Serve one of our own files; nothing outside the folder has a name here."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        body, content_type = found
        response = web.Response(body=body, content_type=content_type, charset="utf-8")
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    def mount(self, web_app: web.Application) -> None:
        """Serve the files under /static."""
        web_app.router.add_get("/static/{name}", self.static)


def _texts(locale: str) -> dict[str, Any]:
    """Read the pages' texts in that language."""
    found: dict[str, Any] = json.loads((FOLDER / "texts" / f"{locale}.json").read_text("utf-8"))
    return found


def preferred(header: str) -> str | None:
    """Return the language of ours that an Accept-Language header likes best."""
    best, chosen = 0.0, None
    for part in header.split(",")[:32]:
        match = LANGUAGE.fullmatch(part)
        if match is None:
            continue
        language, quality = match[1].lower(), float(match[2] or 1)
        if language in LOCALES and quality > best:
            best, chosen = quality, language
    return chosen


def origin_of(url: str) -> str:
    """Return the URL's origin as a CSP source; only what a host may hold passes."""
    parts = urlsplit(url)
    return re.sub(r"[^A-Za-z0-9.:\[\]/_-]", "", f"{parts.scheme}://{parts.netloc}")
