from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.sanitise import SCHEMES, paragraphs, plain_text, safe_html, web_link


class Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<a href='java&#x0A;script:alert(1)'>x</a>",
    "<a href=' javascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action='https://evil.example'><input name=password></form>",
    "<style>* { display: none }</style>",
    "<p style='position:fixed;top:0;background-image:url(https://evil.example/x)'>x</p>",
    "<base href='https://evil.example/'><meta http-equiv=refresh content='0;url=//evil.example'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=x'>",
    "<!-- --!><script>alert(1)</script>",
    "</div></td></tr></table><table><tr><td>",
]
FORBIDDEN_TAGS = {
    "script", "svg", "math", "iframe", "form", "input", "style", "base", "meta", "link", "object",
    "embed", "html", "head", "body",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_runs_or_leaves_its_place_survives(attack: str) -> None:
    assert_harmless(f"<p>before</p>{attack}<p>after</p>")


@given(
    st.lists(st.one_of(st.sampled_from(ATTACKS), st.text("<>\"'=/! abp", max_size=9))).map("".join)
)
def test_nothing_that_runs_survives_in_any_mixture(html: str) -> None:
    assert_harmless(html)


def assert_harmless(html: str) -> None:
    seen = Seen(safe_html(html))
    assert not seen.tags & FORBIDDEN_TAGS
    assert not [name for name in seen.attributes if name.startswith("on") or name == "srcdoc"]
    for url in seen.attributes.get("href", []) + seen.attributes.get("src", []):
        assert not url or url.partition(":")[0].lower() in SCHEMES
    for style in seen.attributes.get("style", []):
        assert "position" not in style
        assert "url(" not in style


def test_what_an_editor_lays_out_stays() -> None:
    html = (
        '<h2 style="color:#123456">News</h2><table width="100%" cellpadding="8"><tbody><tr>'
        '<td align="center" style="padding:8px"><img src="https://cinema.example/a.png" alt="A" '
        'width="40"></td></tr></tbody></table><p><a href="mailto:anna@example.org">Write</a></p>'
    )
    assert safe_html(html) == html.replace('.org">', '.org" rel="noopener noreferrer">')


def test_plain_text_becomes_escaped_paragraphs() -> None:
    assert paragraphs("One <b>\r\ntwo\r\n\r\n\r\nthree & four\n") == (
        "<p>One &lt;b&gt;<br>\ntwo</p>\n<p>three &amp; four</p>\n"
    )


def test_html_becomes_text_with_items_and_links() -> None:
    html = (
        "<h2>News</h2>\n<p>Two  films\n<b>today</b>:</p><ul><li>The Kid</li><li>Sunrise</li></ul>"
        '<p>See <a href="https://cinema.example/p">the programme</a>, '
        '<a href="https://cinema.example/">https://cinema.example/</a> or '
        '<a href="mailto:a@b.example">a@b.example</a>.<br>Bye &amp; thanks'
        '<img src="https://cinema.example/a.png" alt="(a smile)"></p>'
        "<table><tbody><tr><td>8 pm</td><td>Aelita</td></tr></tbody></table>"
    )
    assert plain_text(html) == (
        "News\n\nTwo films today:\n\n- The Kid\n- Sunrise\n\n"
        "See the programme (https://cinema.example/p), https://cinema.example/ or a@b.example.\n"
        "Bye & thanks(a smile)\n\n8 pm Aelita"
    )


@given(st.text("<>/abp &;\n", max_size=60))
def test_any_html_becomes_tidy_text(html: str) -> None:
    text = plain_text(safe_html(html))
    assert "\n\n\n" not in text
    assert text == text.strip()


@pytest.mark.parametrize(
    "url",
    ["", None, 7, "javascript:alert(1)", "//evil.example", "https://a b", 'https://a"b', "data:x,y",
     "https://a\r\nBcc: x", "ftp://a.example", " https://a.example"],
)  # fmt: skip
def test_what_is_no_web_link_becomes_the_cinema(url: object) -> None:
    assert web_link(url, "https://cinema.example/") == "https://cinema.example/"


def test_a_web_link_stays() -> None:
    url = "https://cinema.example/фильмы?q=1&b=2#x"
    assert web_link(url, "https://cinema.example/") == url
