"""Macros whose results are kept say what they would have said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sender import fragments
from sender.render import Renderer
from streams.errors import TemplateError
from tests.sender.test_render import SETTINGS, add, job, rendered

PARTS = '{% macro film(film, words) %}<i class="title">{{ film.title }}</i>{% endmacro %}'
IMPORT = '{% from "parts.html" import film %}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts.html").write_text(PARTS)
    return tmp_path


def said(folder: Path, call: str, **context: Any) -> str:
    if not (folder / "own").exists():
        add(folder, "own", body_html=IMPORT + call)
    return rendered(Renderer(SETTINGS, folder), job("own", **context)).html


@pytest.mark.parametrize("call", ["{{ film(f, words) }}", "{{ film(f, words=words) }}"])
def test_a_film_is_told_in_every_mail_as_in_the_first(folder: Path, call: str) -> None:
    add(folder, "own", body_html=IMPORT + call)
    renderer = Renderer(SETTINGS, folder)
    for title in ("<A>", "B", "<A>", "B", "1", 1, "1"):
        html = rendered(renderer, job("own", f={"title": title})).html
        escaped = str(title).replace("<", "&lt;").replace(">", "&gt;")
        assert html == f'<i class="title">{escaped}</i>'


def test_a_film_told_twice_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    make = fragments.Kept._make

    def counted(self: fragments.Kept, arguments: bytes) -> str:
        made.append(arguments)
        return make(self, arguments)

    monkeypatch.setattr(fragments.Kept, "_make", counted)
    said(folder, "{% for f in fs %}{{ film(f, words) }}{% endfor %}", fs=[{"title": "A"}] * 3)
    assert len(made) == 1


def test_what_is_html_already_is_not_taken_for_text(folder: Path) -> None:
    call = "{{ film({'title': t}, words) }}{{ film({'title': t | safe}, words) }}"
    html = said(folder, call, t="<b>")
    assert html == '<i class="title">&lt;b&gt;</i><i class="title"><b></i>'


def test_parts_that_are_broken_fail_what_imports_them(folder: Path) -> None:
    (folder / "parts.html").write_text("{% macro %}")
    add(folder, "plain")
    with pytest.raises(TemplateError, match=r"own/en/body.html: line 1"):
        said(folder, "{{ film(f, words) }}", f={})
    assert rendered(Renderer(SETTINGS, folder), job("plain")).text == "t\n"
