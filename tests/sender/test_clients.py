"""What mail clients can show: all that the mails use, held against caniemail.com.

Read off the data of the npm package caniemail 1.0.5 (caniemail.com of 2025-09-09) for the clients
that most people have: Apple Mail (macOS, iOS), Gmail (web, iOS, Android), Outlook (Windows, web,
iOS, Android), Yahoo (web), Mail.ru (web), Samsung Email and Thunderbird.
"""

from __future__ import annotations

import re

import pytest

from sender.render import Renderer
from sender.samples import sample_job, sample_links
from tests.sender.test_templates import ALL, SETTINGS, Page

#: Known to all of these clients, some with notes that do not touch what we do with it.
TAGS = {
    "a", "b", "body", "br", "div", "h1", "h2", "head", "html", "li", "meta", "p", "span",
    "style", "table", "tbody", "td", "th", "title", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "align", "bgcolor", "border", "cellpadding", "cellspacing", "charset", "class", "content",
    "dir", "height", "href", "lang", "name", "rel", "role", "scope", "style", "width",
}  # fmt: skip
PROPERTIES = {
    "background-color", "border", "border-collapse", "border-color", "border-left",
    "border-top", "border-top-color", "color", "display", "font-family", "font-size",
    "font-weight", "line-height", "margin", "margin-top", "max-width", "padding", "text-align",
    "text-decoration", "vertical-align", "width",
}  # fmt: skip
#: Not known to one of them at least, and what a person then has instead.
BESIDE = {
    "-webkit-text-size-adjust": "text as large as the client finds right",
    "border-radius": "square corners (Outlook on Windows)",
    "border-spacing": "the same from cellspacing (Outlook on Windows)",
    "height": "bars as high as their line (Yahoo)",
    "max-height": "display hides the preheader anyhow (Outlook on Windows)",
    "overflow": "as above (Outlook on Windows)",
    "white-space": "ratings may break (Outlook on Windows, Samsung)",
    "word-break": "long addresses widen the mail (Yahoo)",
    "data-css-inline": "a note to ourselves",
}
# Where rules in a style sheet are dropped (Outlook on Windows, Thunderbird and, for dark mode,
# Gmail, Yahoo and Mail.ru), mails are as on a desk by day: all that they need is in the elements.
AT_RULES = {
    "@media (max-width: 480px)",
    "@media (prefers-color-scheme: dark)",
    "@media screen",
    "@media screen and (prefers-color-scheme: dark)",
}


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    """Give every mail as a client reads it."""
    renderer = Renderer(SETTINGS)
    jobs = [sample_job(name, locale) for name, locale in ALL]
    return [Page(renderer.render(job, sample_links(job, SETTINGS)).html) for job in jobs]


def test_mails_use_nothing_that_clients_do_not_know(pages: list[Page]) -> None:
    used = {tag for page in pages for tag, _ in page.tags}
    used |= {name for page in pages for _, attributes in page.tags for name in attributes}
    styles = [attributes.get("style") or "" for page in pages for _, attributes in page.tags]
    sheets = [text for page in pages for text in re.findall(r"@media[^@]+", page.text)]
    for style in [*styles, *sheets]:
        used |= set(re.findall(r"(?:^|[;{])\s*([a-z-]+)\s*:", style))
    assert used == TAGS | ATTRIBUTES | PROPERTIES | BESIDE.keys()
    assert {sheet.partition(" {")[0] for sheet in sheets} == AT_RULES


def test_a_client_without_a_body_of_ours_has_font_and_colours_all_the_same(
    pages: list[Page],
) -> None:
    # Mail.ru drops what is said of the body, and shows the mail within a page of its own.
    for page in pages:
        outer = page.attributes("table")[0]["style"] or ""
        for name in ("font-family", "color", "background-color", "font-size", "line-height"):
            assert re.search(rf"(^|;\s*){name}:", outer)
