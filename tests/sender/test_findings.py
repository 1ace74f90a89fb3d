"""What speaks against a mail, by rules of thumb."""

from __future__ import annotations

from typing import Any

import pytest

from sender.findings import SIZE_LIMIT, Finding, findings
from sender.links import LinkMaker
from sender.message import Mail, build
from sender.render import Renderer
from sender.samples import WHEN, sample_job, sample_links
from streams.kinds import KINDS
from streams.settings import Settings

WORDS = "<p>" + "Something to read. " * 20 + "</p>"


def found(listed: bool = True, **changes: Any) -> list[Finding]:
    """Return what is found in a mail that is good but for the changes."""
    fields: dict[str, Any] = {
        "job_id": "0" * 32,
        "sender": "Cinema <noreply@cinema.example>",
        "to": "ann@example.org",
        "subject": "Three films for you",
        "text": "Something to read.",
        "html": WORDS,
        "locale": "en",
        "date": WHEN,
        "unsubscribe_url": "https://cinema.example/u/1",
    }
    source = build(Mail(**fields | changes), eightbit=True)
    return findings(source, listed=listed)


def test_a_plain_good_mail_has_none() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("", ["no_subject"]),
        ("FREE FILMS TODAY", ["capitals"]),
        ("БЕСПЛАТНЫЕ ФИЛЬМЫ", ["capitals"]),
        ("NASA", []),
        ("2026-11-22 12:00", []),
        ("Now!!", ["shouting"]),
        ("Really?!", ["shouting"]),
        ("Hey! You!", ["shouting"]),
        ("A film!", []),
        ("x" * 71, ["long_subject"]),
    ],
)
def test_subjects(subject: str, names: list[str]) -> None:
    assert [name for name, _ in found(subject=subject)] == names


def test_a_mail_without_its_text_part_is_found() -> None:
    assert ("no_text", "") in found(text=" \n")


def test_a_kind_that_can_be_left_wants_the_header_and_others_do_not() -> None:
    assert ("no_unsubscribe", "") in found(unsubscribe_url=None)
    assert found(unsubscribe_url=None, listed=False) == []


def test_more_bytes_than_clients_show_are_found() -> None:
    assert [name for name, _ in found(html=WORDS * 200)] == ["too_large"]
    assert SIZE_LIMIT == 60_000


def test_pictures_want_words_beside_them_and_in_their_place() -> None:
    picture = '<img src="https://cinema.example/a.png" alt="">'
    assert found(html=f"<style>{'.a{}' * 200}</style>{picture}") == [("mostly_pictures", "1")]
    assert found(html=WORDS + picture) == []
    bare = '<img src="https://cinema.example/b.png">'
    assert found(html=WORDS + bare) == [("no_alt", "https://cinema.example/b.png")]


@pytest.mark.parametrize(
    ("address", "label", "names"),
    [
        ("https://evil.example/", "https://cinema.example/films", ["other_link"]),
        ("https://evil.example/", "www.cinema.example", ["other_link"]),
        ("https://кино.example/", "кино.рф", ["other_link"]),
        ("https://www.cinema.example/a", "cinema.example/b?c", []),
        ("https://evil.example/", "to the cinema", []),
        ("https://cinema.example/", "Mr. Arkadin", []),
        ("http://192.0.2.7/", "here", ["odd_link"]),
        ("https://[::1]/", "here", ["odd_link"]),
        ("javascript:alert(1)", "here", ["odd_link"]),
        ("//cinema.example/", "here", ["odd_link"]),
        ("https://[bad/", "here", ["odd_link"]),
        ("mailto:us@cinema.example", "us@cinema.example", []),
    ],
)
def test_where_links_lead(address: str, label: str, names: list[str]) -> None:
    html = f'{WORDS}<a href="{address}"><b>{label}</b></a>'
    assert [name for name, _ in found(html=html)] == names


def test_what_clients_remove_and_what_was_not_filled_in_is_found() -> None:
    assert found(html=WORDS + "<form><script>1</script></form>") == [
        ("active", "form"),
        ("active", "script"),
    ]
    assert found(text="Hello {{ name }}") == [("unfilled", "{{")]


def test_our_own_templates_have_none() -> None:
    settings = Settings(mail_from="Cinema <noreply@cinema.example>", link_secret="x" * 16)
    renderer = Renderer(settings)
    for template, locales in renderer.templates().items():
        for locale in locales:
            job = sample_job(template, locale)
            links = sample_links(job, settings)
            assert links.unsubscribe_url or LinkMaker(settings).of(job).unsubscribe_url is None
            mail = Mail.of(
                job, renderer.render(job, links), links, settings.mail_from, job.created_at
            )
            source = build(mail, eightbit=True)
            assert findings(source, listed=KINDS[job.kind].unsubscribable) == [], (template, locale)
