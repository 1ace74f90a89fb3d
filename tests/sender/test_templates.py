from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from sender.message import Mail, build
from sender.render import Rendered, Renderer
from sender.samples import KIND_OF, sample_job, sample_links
from streams.errors import TemplateError
from streams.jobs import Job
from streams.settings import Settings

SETTINGS = Settings(
    mail_from="Cinema <noreply@cinema.example>",
    public_url="https://n.cinema.example",
    cinema_url="https://cinema.example/",
)
ALL = [(name, locale) for name in sorted(KIND_OF) for locale in ("en", "ru")]
each_template = pytest.mark.parametrize(("name", "locale"), ALL)
# These two have a form of their own, which the schemas check before a job is made.
STRICT = {"month", "week"}
VOID = {"meta", "br", "img", "hr", "link"}


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SETTINGS)


def rendered(renderer: Renderer, job: Job) -> Rendered:
    return renderer.render(job, sample_links(job, SETTINGS))


class Page(HTMLParser):
    """What a mail client sees of a mail: tags in order, nested well, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where strings are in a context."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))
        elif isinstance(item, str):
            yield (*path, key)


def poisoned(job: Job, payload: str) -> Iterator[tuple[tuple[Any, ...], Job]]:
    """Yield the job with each of its strings replaced in turn, and which."""
    context = job.context | {"text": "x", "title": "y"}
    for path in leaves(context):
        changed = copy.deepcopy(context)
        home = changed
        for key in path[:-1]:
            home = home[key]
        home[path[-1]] = payload
        yield path, msgspec.structs.replace(job, context=changed)


@pytest.mark.parametrize("locale", ["en", "ru"])
def test_every_kind_has_a_template_in_that_language(renderer: Renderer, locale: str) -> None:
    assert {name for name, locales in renderer.templates().items() if locale in locales} == set(
        KIND_OF
    )


@each_template
def test_it_renders_in_its_language_with_both_parts(
    renderer: Renderer, name: str, locale: str
) -> None:
    job = sample_job(name, locale)
    mail = rendered(renderer, job)
    cyrillic = re.compile("[а-яё]", re.IGNORECASE)
    for said in (mail.subject, mail.html, mail.text, *renderer.inbox(job)[:2]):
        assert said.strip()
        assert bool(cyrillic.search(said)) == (locale == "ru")
        assert not re.search(r"\{\{|\{%|jinja|None|Undefined", said)
    assert len(mail.text.split()) > 15


@each_template
def test_it_is_small_and_made_for_mail_clients(renderer: Renderer, name: str, locale: str) -> None:
    job = sample_job(name, locale)
    mail = rendered(renderer, job)
    links = sample_links(job, SETTINGS)
    assert (
        len(build(Mail.of(job, mail, links, SETTINGS.mail_from, job.created_at), eightbit=False))
        < 60_000
    )
    page = Page(mail.html)
    assert page.attributes("html") == [{"lang": locale, "dir": "ltr"}]
    # Where a browser looks for it in a mail that was saved (HTML, 4.2.5.4).
    assert b'<meta charset="utf-8">' in mail.html.encode()[:1024]
    assert {"name": "color-scheme", "content": "light dark"} in page.attributes("meta")
    assert "prefers-color-scheme: dark" in page.text
    assert all("style" in attributes for attributes in page.attributes("a") if name != "mail")
    assert all("alt" in attributes for attributes in page.attributes("img"))
    # A table is there for its layout, or has headers.
    headed = len(page.attributes("th")) > 0
    plain = [one for one in page.attributes("table") if one.get("role") != "presentation"]
    assert len(plain) == (1 if headed else 0)
    assert not {"script", "form", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert page.attributes("div")[0]["class"] == "hidden"


@each_template
def test_every_link_of_the_html_part_is_in_the_text_part(
    renderer: Renderer, name: str, locale: str
) -> None:
    mail = rendered(renderer, sample_job(name, locale))
    for attributes in Page(mail.html).attributes("a"):
        url = attributes["href"]
        assert url
        assert url in mail.text


@each_template
def test_no_field_is_taken_for_a_template(renderer: Renderer, name: str, locale: str) -> None:
    payload = "{{1337*3}}{% raw %}${1337*3}<%= 1337*3 %>#{1337*3}"
    shown = 0
    for path, job in poisoned(sample_job(name, locale), payload):
        if path[-1] in STRICT:
            continue
        mail = rendered(renderer, job)
        entry = renderer.inbox(job)
        for said in (mail.subject, mail.html, mail.text, *entry):
            assert "4011" not in said
        shown += "{{1337*3}}" in mail.text + mail.html + "".join(entry)
    assert shown


@each_template
@pytest.mark.parametrize(
    "payload",
    [
        "\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "</title></style></div></td></tr></table><svg onload=alert(1)>",
        'https://a.example/" onmouseover="alert(1)',
    ],
)
def test_no_field_can_bring_a_script(
    renderer: Renderer, name: str, locale: str, payload: str
) -> None:
    for path, job in poisoned(sample_job(name, locale), payload):
        if path[-1] in STRICT:
            continue
        page = Page(rendered(renderer, job).html)
        for tag, attributes in page.tags:
            assert tag not in {"script", "svg", "iframe"}
            assert not [key for key in attributes if key.startswith("on")]
            for key in ("href", "src"):
                assert re.match(r"https?://|$", attributes.get(key) or "")
        assert re.match("https?://", renderer.inbox(job)[2])


@each_template
def test_no_field_can_bring_a_header(renderer: Renderer, name: str, locale: str) -> None:
    payload = "Hi\r\nBcc: boris@example.org\r\n\r\n<html>\n\x00\x85\u2028end"
    for path, job in poisoned(sample_job(name, locale), payload):
        if path[-1] in STRICT:
            continue
        mail = rendered(renderer, job)
        assert len(mail.subject.splitlines()) == 1
        links = sample_links(job, SETTINGS)
        data = build(Mail.of(job, mail, links, SETTINGS.mail_from, job.created_at), eightbit=True)
        head = data.partition(b"\r\n\r\n")[0]
        assert not re.search(rb"^bcc:", head, re.IGNORECASE | re.MULTILINE)


@each_template
def test_a_month_or_week_of_the_wrong_form_fails_its_job_alone(
    renderer: Renderer, name: str, locale: str
) -> None:
    for path, job in poisoned(sample_job(name, locale), "{{7*7}}"):
        if path[-1] in STRICT:
            with pytest.raises(TemplateError, match=f"{name}/{locale}/"):
                rendered(renderer, job)
        else:
            assert rendered(renderer, job).html


@pytest.mark.parametrize(
    ("count", "subject"),
    [
        (1, "1 фильм на ваши выходные"),
        (3, "3 фильма на ваши выходные"),
        (5, "5 фильмов на ваши выходные"),
        (0, "Что посмотреть на выходных?"),
    ],
)
def test_the_weekly_selection_counts_its_films_in_russian(
    renderer: Renderer, count: int, subject: str
) -> None:
    job = sample_job("personal_selection", "ru")
    films = job.context["films"][:count]
    job = msgspec.structs.replace(job, context=job.context | {"films": films})
    assert rendered(renderer, job).subject == subject
    assert renderer.inbox(job)[1]


def test_the_weekly_selection_names_every_film_in_both_parts(renderer: Renderer) -> None:
    for locale in ("en", "ru"):
        job = sample_job("personal_selection", locale)
        mail = rendered(renderer, job)
        page = Page(mail.html)
        for film in job.context["films"]:
            assert film["title"] in page.text
            assert film["title"] in mail.text
        assert page.text.count("новинка" if locale == "ru" else "new") == 2


@pytest.mark.parametrize(("locale", "days"), [("en", "November 16 – 22"), ("ru", "16–22 ноября")])
def test_the_days_of_a_week_stay_on_one_line(renderer: Renderer, locale: str, days: str) -> None:
    html = rendered(renderer, sample_job("personal_selection", locale)).html
    # The spaces within are of several kinds.
    assert re.search(f"white-space: nowrap;?[^>]*>{days}<".replace(" ", r"\s"), html)


@pytest.mark.parametrize(
    ("films", "said"),
    [
        (14, "на 3 фильма больше, чем за сентябрь"),
        (12, "на 1 фильм больше, чем за сентябрь"),
        (11, "столько же, сколько за сентябрь"),
        (6, "на 5 фильмов меньше, чем за сентябрь"),
    ],
)
def test_the_statistics_compare_with_the_month_before(
    renderer: Renderer, films: int, said: str
) -> None:
    job = sample_job("statistics", "ru")
    job = msgspec.structs.replace(job, context=job.context | {"films": films})
    mail = rendered(renderer, job)
    assert said in mail.html
    assert "За сентябрь: 11 фильмов, 17 часов 15 минут." in mail.text


def test_the_bars_of_the_statistics_are_as_long_as_their_genres(renderer: Renderer) -> None:
    page = Page(rendered(renderer, sample_job("statistics", "en")).html)
    widths = [table.get("width") for table in page.attributes("table")]
    assert [width for width in widths if width not in ("100%", None)] == ["66%", "33%", "11%"]
    assert [th["scope"] for th in page.attributes("th")] == ["row"] * 4


def test_a_month_without_films_is_told_kindly_and_without_a_chart(renderer: Renderer) -> None:
    empty = {
        "films": 0,
        "seconds": 0,
        "genres": [],
        "top_genre": None,
        "streak": 0,
        "previous": None,
    }
    for locale, said in (("en", "You watched nothing"), ("ru", "ничего не")):
        job = sample_job("statistics", locale)
        mail = rendered(renderer, msgspec.structs.replace(job, context=job.context | empty))
        assert said in mail.html
        assert said in mail.text
        assert "bar-cell" not in mail.html


def test_an_episode_without_numbers_or_with_words_for_them_is_still_told(
    renderer: Renderer,
) -> None:
    job = sample_job("bookmarks", "ru")
    for season, episode in ((None, None), (None, 3), ("II", None), ("II", "финал")):
        context = job.context | {"season": season, "episode": episode}
        one = msgspec.structs.replace(job, context=context)
        mail = rendered(renderer, one)
        for said in (mail.html, mail.text, renderer.inbox(one)[1]):
            assert "None" not in said
            for number in filter(None, (season, episode)):
                assert str(number) in said


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("mail", {"text": "Only text"}),
        ("activity", {"body": "Only this"}),
        ("bookmarks", {"username": "", "serial_name": "Only a name"}),
        ("tip", {"username": "", "text": "Only text"}),
        ("tip", {"username": "", "title": "Only a title", "film": {"title": "and a film"}}),
        ("tip", {"username": "", "title": "Only a title", "film": "and an id"}),
    ],
)
def test_a_campaigns_context_may_be_short(
    renderer: Renderer, name: str, context: dict[str, Any]
) -> None:
    job = msgspec.structs.replace(sample_job(name, "en"), context=context)
    mail = rendered(renderer, job)
    assert "Only" in mail.subject + mail.text
    assert "None" not in mail.text
    assert "built-in" not in mail.html
    assert renderer.inbox(job)[1]


@each_template
def test_a_person_without_a_name_is_greeted_without_one(
    renderer: Renderer, name: str, locale: str
) -> None:
    job = sample_job(name, locale)
    mail = rendered(renderer, msgspec.structs.replace(job, context=job.context | {"username": ""}))
    assert not re.search(r"[,\s]!|^,", mail.text, re.MULTILINE)
    assert not mail.subject.startswith((",", " "))
