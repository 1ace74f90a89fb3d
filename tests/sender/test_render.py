from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sender.catalogue
from sender.catalogue import TEMPLATES
from sender.render import SUBJECT_LENGTH, Rendered, Renderer
from sender.samples import sample_job, sample_links
from sender.sanitise import safe_html
from streams.errors import TemplateError
from streams.jobs import Job
from streams.settings import Settings

SETTINGS = Settings(
    mail_from="Cinema <noreply@cinema.example>",
    public_url="https://n.cinema.example",
    cinema_url="https://cinema.example/",
)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SETTINGS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the templates that a test may add to."""
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


def job(template: str, locale: str = "en", **context: Any) -> Job:
    sample = sample_job(template, locale)
    return msgspec.structs.replace(sample, context=sample.context | context)


def rendered(renderer: Renderer, one: Job) -> Rendered:
    return renderer.render(one, sample_links(one, SETTINGS))


def add(folder: Path, name: str, locale: str = "en", **files: str) -> None:
    home = folder / name / locale
    home.mkdir(parents=True)
    default = {"subject_txt": "s", "body_html": "<p>h</p>", "body_txt": "t", "inbox_txt": "i"}
    for file, source in (default | files).items():
        (home / file.replace("_", ".")).write_text(source, "utf-8")


def test_a_missing_locale_falls_back_to_the_default_one(renderer: Renderer) -> None:
    mail = rendered(renderer, job("tip", locale="de"))
    assert mail.locale == "en"
    assert '<html lang="en"' in mail.html
    russian = Renderer(replace(SETTINGS, default_locale="ru"))
    assert rendered(russian, job("tip", locale="de")).locale == "ru"


def test_an_unknown_template_fails_its_job_and_names_itself(renderer: Renderer) -> None:
    with pytest.raises(TemplateError, match=r"'no_such'.*known are activity, bookmarks"):
        rendered(renderer, job("no_such"))


@pytest.mark.parametrize("name", ["../templates/tip", "pages", "words", "base.html", "", "tip/en"])
def test_a_name_cannot_leave_the_folder(renderer: Renderer, name: str) -> None:
    with pytest.raises(TemplateError, match="no such folder"):
        rendered(renderer, job(name))


def test_a_missing_field_fails_its_job_and_names_field_template_and_locale(
    renderer: Renderer,
) -> None:
    bare = msgspec.structs.replace(job("statistics", locale="ru"), context={"month": "2026-10"})
    with pytest.raises(TemplateError, match=r"statistics/ru/body.html: .*'films' is undefined"):
        rendered(renderer, bare)


def test_an_error_does_not_quote_the_person(renderer: Renderer) -> None:
    with pytest.raises(TemplateError, match="ValueError, raised by a value") as caught:
        rendered(renderer, job("statistics", month="anna@example.org"))
    assert "anna" not in str(caught.value)


def test_a_broken_template_fails_alone(folder: Path) -> None:
    add(folder, "broken", body_html="{% if %}")
    add(folder, "raises", body_html="{{ 1 / 0 }}")
    add(folder, "bare")
    (folder / "bare" / "en" / "inbox.txt").unlink()
    renderer = Renderer(SETTINGS, folder)
    assert rendered(renderer, job("tip")).html
    with pytest.raises(TemplateError, match=r"broken/en/body.html: line 1: Expected an expression"):
        rendered(renderer, job("broken"))
    with pytest.raises(TemplateError, match=r"raises/en/body.html: ZeroDivisionError"):
        rendered(renderer, job("raises"))
    assert rendered(renderer, job("bare")).text == "t\n"
    with pytest.raises(TemplateError, match=r"bare/en/inbox.txt is missing"):
        renderer.inbox(job("bare"))


def test_a_campaigns_own_template_gets_its_fields_and_the_frame(folder: Path) -> None:
    source = (
        '{% extends "base.html" %}{% block content %}<p class="text">{{ prize }}</p>{% endblock %}'
    )
    add(folder, "lottery", subject_txt="{{ prize }} for {{ username }}", body_html=source)
    renderer = Renderer(SETTINGS, folder)
    assert renderer.templates()["lottery"] == ("en",)
    mail = rendered(renderer, job("lottery", prize="A <seat>"))
    assert mail.subject == "A <seat> for Anna"
    assert '<p class="text" style="' in mail.html
    assert "A &lt;seat&gt;" in mail.html


def test_a_locale_without_words_of_its_own_uses_the_default_ones(folder: Path) -> None:
    add(folder, "tip", locale="de", body_html='{% extends "base.html" %}')
    mail = rendered(Renderer(SETTINGS, folder), job("tip", locale="de"))
    assert mail.locale == "de"
    assert "Unsubscribe from mail like this" in mail.html


def test_a_context_cannot_take_the_senders_place(renderer: Renderer) -> None:
    ours = dict.fromkeys(
        ["unsubscribe_url", "cinema_url", "locale", "brand", "words", "kind"],
        "https://evil.example",
    )
    mail = rendered(renderer, job("tip", **ours))
    assert "evil.example" not in mail.html + mail.text


def test_links_that_were_not_made_are_not_shown(renderer: Renderer) -> None:
    mail = rendered(renderer, job("mail"))
    assert "nsubscribe" not in mail.html + mail.text


def test_a_subject_is_one_line_and_not_endless(renderer: Renderer) -> None:
    mail = rendered(
        renderer, job("mail", subject="Hi\r\nBcc: boris@example.org\x00\u2028" + "x" * 999)
    )
    assert mail.subject.startswith("Hi Bcc: boris@example.org xxx")
    assert len(mail.subject) == SUBJECT_LENGTH


def test_a_letter_without_a_subject_still_has_one(renderer: Renderer) -> None:
    assert rendered(renderer, job("mail", locale="ru", subject=" ")).subject
    assert rendered(renderer, job("mail", subject="")).subject == "A letter from the cinema"


def test_a_letter_in_html_alone_has_a_text_part_all_the_same(renderer: Renderer) -> None:
    mail = rendered(renderer, job("mail", text="", body="<p>Hi <b>you</b></p><script>x</script>"))
    assert mail.text.startswith("Hi you\n")
    assert "<p>Hi <b>you</b></p>" in mail.html


def test_a_letter_in_text_alone_has_an_escaped_html_part(renderer: Renderer) -> None:
    mail = rendered(renderer, job("mail", text="a < b\n\n<b>c</b>", body=""))
    assert "<p>a &lt; b</p>\n<p>&lt;b&gt;c&lt;/b&gt;</p>" in mail.html
    assert mail.text.startswith("a < b\n\n<b>c</b>\n")


def test_a_letter_to_many_is_cleaned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(html: str) -> Any:
        calls.append(html)
        return safe_html(html)

    monkeypatch.setattr(sender.catalogue, "safe_html", counted)
    renderer = Renderer(SETTINGS)
    for _ in range(5):
        rendered(renderer, job("mail", text="x", body="<p>same</p>"))
    assert calls == ["<p>same</p>"]


def test_an_activitys_inbox_body_is_the_events_body_unchanged(renderer: Renderer) -> None:
    body = "  <b>{{7*7}}</b>\r\n\n\n\n liked it \x00"
    title, said, url = renderer.inbox(job("activity", body=body))
    assert said == body
    assert title == "Something new for you"
    assert url == "https://cinema.example/"


def grouped(locale: str, count: int, *bodies: str) -> Job:
    return job("activity", locale=locale, body=bodies[0], count=count, bodies=[*bodies])


def test_a_grouped_activity_counts_in_its_title_and_shows_all_in_its_mail(
    renderer: Renderer,
) -> None:
    one = grouped("ru", 2, "первое", "второе")
    assert renderer.inbox(one)[:2] == ("Для вас 2 новых события", "• первое\n• второе")
    mail = rendered(renderer, one)
    assert "первое" in mail.html
    assert "второе" in mail.text
    assert "ещё" not in mail.html + mail.text


@pytest.mark.parametrize(
    ("locale", "count", "title", "rest"),
    [
        ("en", 4, "4 new events for you", "and 1 more event"),
        ("en", 1203, "1,203 new events for you", "and 1,200 more events"),
        ("ru", 4, "Для вас 4 новых события", "и ещё 1 событие"),
        ("ru", 5, "Для вас 5 новых событий", "и ещё 2 события"),
        ("ru", 8, "Для вас 8 новых событий", "и ещё 5 событий"),
        ("ru", 14, "Для вас 14 новых событий", "и ещё 11 событий"),
        ("ru", 24, "Для вас 24 новых события", "и ещё 21 событие"),
        ("ru", 21, "Для вас 21 новое событие", "и ещё 18 событий"),
    ],
)
def test_what_a_grouped_activity_does_not_show_it_counts(
    renderer: Renderer, locale: str, count: int, title: str, rest: str
) -> None:
    one = grouped(locale, count, "a", "<b>b</b>\nsecond line", "c")
    said, body, _ = renderer.inbox(one)
    assert said == title
    *shown, last = body.split("\n")
    assert shown == ["• a", "• <b>b</b>", "second line", "• c"]
    total = f"{count:,} in all" if locale == "en" else f"всего {count}"
    assert last == f"… {rest}, {total}"
    mail = rendered(renderer, one)
    assert f"… {rest}\n" in mail.text
    assert f"… {rest}</p>" in mail.html
    assert "&lt;b&gt;b&lt;/b&gt;" in mail.html


def test_an_inbox_entry_leads_to_the_episode_the_film_or_the_cinema(renderer: Renderer) -> None:
    def url(one: Job) -> str:
        return renderer.inbox(one)[2]

    assert url(job("bookmarks")) == "https://cinema.example/watch/vampires-1-7"
    assert url(job("tip")) == "https://cinema.example/films/nosferatu"
    assert url(job("tip", film=None)) == "https://cinema.example/"
    assert url(job("bookmarks", link="javascript:alert(1)")) == "https://cinema.example/"


def test_a_template_sees_the_business_time(folder: Path) -> None:
    add(folder, "dated", body_txt="{{ now.year }}")
    renderer = Renderer(SETTINGS, folder)
    one = job("dated")
    links = sample_links(one, SETTINGS)
    assert renderer.render(one, links).text == f"{one.created_at.year}\n"
    assert renderer.render(one, links, datetime(2031, 1, 1, tzinfo=UTC)).text == "2031\n"
