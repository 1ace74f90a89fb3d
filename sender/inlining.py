"""Template sources with their CSS inlined, once, before Jinja compiles them.

Mail clients drop style sheets. Inlining a finished mail costs 222 µs; a source is inlined once.
Jinja's tags are swapped for comments first, since an HTML parser moves text out of tables. So a
source must be HTML by itself: a `<tbody>` in every table, no tag of Jinja's where an attribute
would stand, and no rows without their table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader

TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
MARK: Final = re.compile(r"(?:<|&lt;)!--jinja:(\d+)--(?:>|&gt;)")
STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)
# The frame of all mails: its style sheet holds for what extends it, too.
BASE: Final = "base.html"


class InliningLoader(FileSystemLoader):
    """Loads templates from a folder; those in HTML with their CSS inlined.

    A style sheet with `data-css-inline="keep"` stays as it is: rules for dark mode and small
    screens can be only there.
    """

    def __init__(self, folder: Path) -> None:
        """Read the style sheet that all fragments share."""
        super().__init__(folder)
        self._inliner = CSSInliner(load_remote_stylesheets=False)
        base = folder / BASE
        style = STYLE.search(base.read_text("utf-8")) if base.is_file() else None
        self._css = style[1] if style else ""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return the source as Jinja's loaders do."""
        source, filename, uptodate = super().get_source(environment, template)
        if template.endswith(".html"):
            source = self._inlined(source)
        return source, filename, uptodate

    def _inlined(self, source: str) -> str:
        tags: list[str] = []

        def swap(match: re.Match[str]) -> str:
            tags.append(match[0])
            return f"<!--jinja:{len(tags) - 1}-->"

        html = TAG.sub(swap, source)
        if "<html" in html:
            html = self._inliner.inline(html)
        else:
            html = self._inliner.inline_fragment(html, self._css)
        return MARK.sub(lambda match: tags[int(match[1])], html)
