"""What is joined from segments is what would have been rendered, byte for byte."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sender.catalogue import TEMPLATES
from sender.holes import LONGEST
from sender.links import Links
from sender.message import Mail, build
from sender.render import Joined, Renderer
from sender.samples import WHEN, sample_job, sample_links
from sender.segments import KEPT, WORTH, Segments
from streams.errors import TemplateError
from streams.jobs import Job
from tests.sender.test_render import SETTINGS, add
from tests.sender.test_templates import ALL, each_template

NAMES = st.one_of(
    st.text(),
    st.text(alphabet="ab <>&\"'%/{}\\Жя\r\n\t\u200f\u2028\u05d0\ue000\ud800", max_size=40),
    st.sampled_from(
        ["", " ", "Анна", "{{ 7 * 7 }}", "{% raw %}", "</title><script>", "a" * LONGEST, "ж" * 600]
    ),
)
TOKENS = st.text(alphabet="abcXYZ019-_.", min_size=1, max_size=300)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SETTINGS)


@pytest.fixture(scope="module")
def warm(renderer: Renderer) -> Segments:
    """Return segments that have met each sample often enough."""
    segments = Segments(renderer)
    for name, locale in ALL:
        meet(segments, sample_job(name, locale))
    return segments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


def meet(segments: Segments, job: Job) -> None:
    for _ in range(WORTH):
        segments.render(job, sample_links(job, SETTINGS), WHEN)


def named(job: Job, username: Any) -> Job:
    return msgspec.structs.replace(job, context=job.context | {"username": username})


def content(job: Job, rendered: Any, links: Links, *, eightbit: bool) -> bytes:
    return build(Mail.of(job, rendered, links, SETTINGS.mail_from, WHEN), eightbit=eightbit)


def assert_same(
    segments: Segments, renderer: Renderer, job: Job, links: Links | None = None
) -> bool:
    """Assert that both ways give the same mail; tell whether it was joined."""
    links = links or sample_links(job, SETTINGS)
    joined, rendered = segments.render(job, links, WHEN), renderer.render(job, links, WHEN)
    for eightbit in (True, False):
        mail = content(job, joined, links, eightbit=eightbit)
        assert mail == content(job, rendered, links, eightbit=eightbit)
    return isinstance(joined, Joined)


@each_template
def test_the_mails_of_every_template_are_joined_once_there_were_enough(
    renderer: Renderer, name: str, locale: str
) -> None:
    segments, job = Segments(renderer), sample_job(name, locale)
    people = [f"Борис {number}" for number in range(WORTH)]
    assert not any(assert_same(segments, renderer, named(job, one)) for one in people)
    assert assert_same(segments, renderer, named(job, "<&> O'Neil"))


@given(st.sampled_from(ALL), NAMES, TOKENS)
@example(("welcome", "en"), "a" * LONGEST, "x")
@example(("welcome", "en"), "\ue000", "x")
@example(("tip", "ru"), " Anna", "x")
@example(("tip", "ru"), "Anna\n\n\n\nBcc: x", "x")
def test_whatever_a_person_is_called_the_mail_is_the_same(
    renderer: Renderer, warm: Segments, template: tuple[str, str], username: str, token: str
) -> None:
    job = named(sample_job(*template), username)
    links = sample_links(job, SETTINGS)
    if links.unsubscribe_url is not None:
        links = replace(links, unsubscribe_url=f"https://n.cinema.example/unsubscribe/{token}")
    assert_same(warm, renderer, job, links)


@given(st.sampled_from(ALL), st.text(alphabet="abcЖя '<>&{}%/\"\u05d0é-", min_size=1, max_size=90))
def test_a_plain_name_is_joined(
    renderer: Renderer, warm: Segments, template: tuple[str, str], name: str
) -> None:
    username = " ".join(name.split()) or "x"
    assert assert_same(warm, renderer, named(sample_job(*template), username))


@settings(max_examples=25)
@given(
    subject=st.text(max_size=20),
    text=st.text(alphabet="ab\r\n\x00 .ж\ue000<", max_size=60),
    body=st.sampled_from(["", "<p>a</p>", "<b>\ue000", "<p>" + "long " * 300]),
)
def test_a_letter_to_many_is_the_same_whatever_it_says(
    renderer: Renderer, subject: str, text: str, body: str
) -> None:
    job = sample_job("mail", "en")
    said = {"subject": subject, "text": text, "body": body}
    job = msgspec.structs.replace(job, context=job.context | said)
    segments = Segments(renderer)
    meet(segments, job)
    assert_same(segments, renderer, named(job, "Борис <b>"))


INSERTED = [
    "{{ username }} and {{ username }}",
    "{% if username %}{{ username }}{% else %}nobody{% endif %}",
    "{{ username if username and not preferences_url else 'x' }}",
    "{% autoescape false %}{{ username }}{% endautoescape %}",
    "{% set name = username %}{{ name }}",
    "{% macro hello(name) %}{{ name }}!{% endmacro %}{{ hello(username) }}",
    "{% for one in [1, 2] %}{{ one }}{{ username }}{% endfor %}",
    "<a href='{{ unsubscribe_url }}'>{{ subject }}</a>",
    "{% set said %}{{ username }}{% endset %}{{ said }}",
    "{{ [username][0] }}",
]


@pytest.mark.parametrize("source", INSERTED)
def test_a_template_that_inserts_values_is_joined(folder: Path, source: str) -> None:
    add(folder, "own", subject_txt="For {{ username }}", body_html=source, body_txt=source)
    renderer = Renderer(SETTINGS, folder)
    segments, job = Segments(renderer), sample_job("own", "en")
    meet(segments, job)
    for username in ("Bob", "Ж" * 300, "<&> '"):
        assert assert_same(segments, renderer, named(job, username))


TOUCHED = [
    "{{ username | upper }}",
    "{{ username | e }}",
    "{{ username.title() }}",
    "{{ username[:3] }}",
    "{{ username | length }}",
    "{{ username | web }}",
    "{{ username | replace('o', '0') }}",
    "{{ username | default('x') }}",
    "{{ username ~ '!' }}",
    "{{ '%s!' % username }}",
    "{{ [username] }}",
    "{{ [username] | join }}",
    "{{ ['Bob', username] | unique | list | length }}",
    "{% if username == 'Bob' %}it is Bob{% endif %}",
    "{% if username in ['Bob'] %}it is Bob{% endif %}",
    "{% if 'o' in username %}an o{% endif %}",
    "{% if username is string %}text{% endif %}",
    "{% if username | length > 3 %}long{% endif %}",
    "{% if username > 'M' %}late{% endif %}",
    "{% if username.title is defined %}text{% endif %}",
    "{% for mark in username %}{{ mark }}-{% endfor %}",
    "{{ {'Bob': 1}[username] | default('nobody') }}",
    "{% set said %}{{ username }}{% endset %}{{ said | truncate(9, true) }}",
    "{% set said %}{{ username }}{% endset %}{{ said[:20] }}",
    "{% set said %}{{ username }}{% endset %}{{ said.lower() }}",
    "{% set said %}{{ username }}{% endset %}{{ 'long' if said.__len__() > 99 }}",
    "{% set said %}{{ username }}{% endset %}{{ said | replace('Bob', 'Rob') }}",
    "{% filter upper %}{{ username }}{% endfilter %}",
    "{% macro hello() %}{{ username }}{% endmacro %}{{ hello() | wordwrap(5) }}",
    "{{ subject | upper }}",
    "{{ unsubscribe_url.split('/')[-1] }}",
    "{{ now }}",
    "{{ now.year }}",
    "{{ 'morning' if now.hour < 12 }}",
]


@pytest.mark.parametrize("source", TOUCHED)
@pytest.mark.parametrize("file", ["body_html", "body_txt"])
def test_a_template_that_does_more_is_rendered_for_each(
    folder: Path, source: str, file: str
) -> None:
    add(folder, "own", subject_txt="For {{ username }}", **{file: source})
    renderer = Renderer(SETTINGS, folder)
    segments, job = Segments(renderer), sample_job("own", "en")
    meet(segments, job)
    for username in ("Bob", "Roberta, who reads all the letters"):
        assert not assert_same(segments, renderer, named(job, username))


@pytest.mark.parametrize("username", [" Bob", "Bob ", "Bob  B", "\u00a0Bob", "Bob\n", "\n\n\nBob"])
def test_space_around_a_name_goes_as_it_does_in_every_mail(folder: Path, username: str) -> None:
    add(folder, "own", subject_txt="{{ username }}", body_txt="{{ username }}")
    renderer = Renderer(SETTINGS, folder)
    segments, job = Segments(renderer), sample_job("own", "en")
    meet(segments, job)
    assert_same(segments, renderer, named(job, username))


def test_a_subject_that_does_more_is_rendered_for_each(folder: Path) -> None:
    add(folder, "own", subject_txt="{{ username | upper }}")
    renderer = Renderer(SETTINGS, folder)
    segments, job = Segments(renderer), sample_job("own", "en")
    meet(segments, job)
    assert not assert_same(segments, renderer, job)


def test_a_long_subject_is_cut_at_the_same_place(folder: Path) -> None:
    add(folder, "own", subject_txt="x " * 60 + "{{ username }}", body_html="<h1>{{ subject }}</h1>")
    renderer = Renderer(SETTINGS, folder)
    segments, job = Segments(renderer), sample_job("own", "en")
    meet(segments, job)
    for username in ("Bob", "Боб " * 60 + "и"):
        assert assert_same(segments, renderer, named(job, username))


def test_a_person_without_a_name_gets_the_mail_of_such_persons(
    renderer: Renderer, warm: Segments
) -> None:
    for name, locale in ALL:
        assert_same(warm, renderer, named(sample_job(name, locale), ""))


def test_a_letter_that_says_something_else_is_another(renderer: Renderer) -> None:
    segments = Segments(renderer)
    job = sample_job("mail", "en")
    meet(segments, job)
    other = msgspec.structs.replace(job, context=job.context | {"body": "<p>Other</p>"})
    assert not assert_same(segments, renderer, other)
    for change in ({"kind": "tip"}, {"locale": "ru"}, {"template": "tip"}):
        context = sample_job("tip", "en").context | job.context
        assert not assert_same(
            segments, renderer, msgspec.structs.replace(job, context=context, **change)
        )


def test_a_template_that_raises_fails_each_job_alone(folder: Path) -> None:
    add(folder, "own", body_html="{{ 1 / count }}")
    renderer = Renderer(SETTINGS, folder)
    segments, job = Segments(renderer), sample_job("own", "en")
    good, bad = (msgspec.structs.replace(job, context={"count": count}) for count in (1, 0))
    meet(segments, good)
    for _ in range(WORTH + 1):
        with pytest.raises(TemplateError, match=r"own/en/body\.html: ZeroDivisionError"):
            segments.render(bad, sample_links(bad, SETTINGS), WHEN)
    assert assert_same(segments, renderer, good)


def test_mails_that_are_all_different_are_never_joined_nor_kept(renderer: Renderer) -> None:
    segments, job = Segments(renderer), sample_job("personal_selection", "en")
    for week in range(1, 6):
        one = msgspec.structs.replace(job, context=job.context | {"week": f"2026-W{week:02}"})
        for _ in range(WORTH - 1):
            assert not assert_same(segments, renderer, one)
    assert not segments.kept


def test_a_campaign_that_goes_on_stays_among_many_that_ended(renderer: Renderer) -> None:
    segments, job = Segments(renderer), sample_job("mail", "en")
    meet(segments, job)
    for number in range(KEPT + 3):
        meet(segments, msgspec.structs.replace(job, context=job.context | {"text": str(number)}))
        assert assert_same(segments, renderer, job)
    assert len(segments.kept) == KEPT


def test_the_business_time_is_not_in_a_mail_that_is_joined(
    renderer: Renderer, warm: Segments
) -> None:
    job = sample_job("tip", "en")
    links = sample_links(job, SETTINGS)
    later = WHEN + timedelta(days=400)
    assert warm.render(job, links, later) == warm.render(job, links, WHEN)
    assert renderer.render(job, links, later) == renderer.render(job, links, WHEN)
