"""What strangers' text may become in a mail: safe HTML, paragraphs, plain text, web links."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

import nh3
from markupsafe import Markup, escape

SCHEMES: Final = {"http", "https", "mailto", "tel"}
# Attributes and properties that mail editors lay letters out with; none of them fetches anything
# or takes a place on top of the rest (no position, no background with a url).
LAYOUT: Final = {"align", "valign", "width", "height", "bgcolor", "dir", "lang", "title", "role"}
STYLES: Final = {
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-top",
    "color",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-width",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "text-align",
    "text-decoration",
    "text-transform",
    "vertical-align",
    "width",
}
ATTRIBUTES: Final = {
    **nh3.ALLOWED_ATTRIBUTES,
    "*": LAYOUT | {"style"},
    "table": nh3.ALLOWED_ATTRIBUTES["table"] | {"border", "cellpadding", "cellspacing"},
}
WEB: Final = re.compile(r"https?://[^\s<>\"'\\\x00-\x1f\x7f]+", re.IGNORECASE)

# Elements that a blank line stands around, and those that begin a line.
HEADINGS: Final = {"h1", "h2", "h3", "h4", "h5", "h6"}
SPACED: Final = HEADINGS | {"blockquote", "hr", "ol", "p", "pre", "table", "ul"}
BLOCKS: Final = SPACED | {"article", "center", "dd", "div", "dl", "dt", "header", "li", "tr"}


def safe_html(html: str) -> Markup:
    """Return an editor's HTML without anything that could run, escape its box or load a frame."""
    clean = nh3.clean(
        html,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        filter_style_properties=STYLES,
        url_relative="deny",
    )
    return Markup(clean)


def paragraphs(text: str) -> Markup:
    """Return plain text as paragraphs of escaped HTML; single line ends stay."""
    blocks = re.split(r"\n[ \t]*\n\s*", text.replace("\r\n", "\n").replace("\r", "\n").strip())
    return Markup("").join(
        Markup("<p>%s</p>\n") % Markup("<br>\n").join(map(escape, block.split("\n")))
        for block in blocks
    )


def web_link(url: object, default: str) -> str:
    """Return the URL if it leads to the web (no `javascript:`), else the default."""
    return url if isinstance(url, str) and WEB.fullmatch(url) else default


def plain_text(html: str) -> str:
    """Return safe HTML as the text part says it: paragraphs, `- ` items, links in brackets."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (line.strip() for line in "".join(reader.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag in BLOCKS:
            self._break(tag)
            if tag == "li":
                self.parts.append("- ")
        elif tag in ("td", "th"):
            self.handle_data(" ")
        elif tag == "img":
            self.parts.append(dict(attrs).get("alt") or "")
        elif tag == "a":
            self.links.append((dict(attrs).get("href") or "", len(self.parts)))

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self._break(tag)
        elif tag == "a" and self.links:
            url, start = self.links.pop()
            if url and url.removeprefix("mailto:") not in "".join(self.parts[start:]):
                self.parts.append(f" ({url})")

    def handle_data(self, data: str) -> None:
        text = re.sub(r"\s+", " ", data)
        if not self.parts or self.parts[-1].endswith(("\n", " ")):
            text = text.lstrip()
        if text:
            self.parts.append(text)

    def _break(self, tag: str) -> None:
        wanted = 2 if tag in SPACED else 1
        if self.parts and not self.parts[-1].endswith("\n" * wanted):
            self.parts.append("\n" * wanted)
