from __future__ import annotations

import re
from email import message_from_string, policy
from email.header import decode_header, make_header
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.headers import (
    address_field,
    bracketed,
    encoded_words,
    one_line,
    unstructured,
)
from streams.errors import InvalidMail

# Any text at all, and texts that come close to what the grammar gives a meaning to.
TEXTS = st.one_of(
    st.text(),
    st.text(alphabet='abc ,.=?_<>@"\\()\r\n\tжé🎬', max_size=200),
    st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=90), max_size=20).map(" ".join),
)


def parsed(field: str) -> Any:
    """Return the field as Python's parser reads it."""
    message = message_from_string(field + "\r\n", policy=policy.default)
    assert not message.defects
    (value,) = message.values()
    assert not value.defects
    return value


def assert_well_formed(field: str, limit: int = 78) -> None:
    assert field.endswith("\r\n")
    lines = field[:-2].split("\r\n")
    for line in lines:
        assert len(line) <= limit, line
        assert line.isascii()
        assert line.strip()
        assert not re.search("[\r\n\x00]", line)
        if "=?" in line:
            assert len(line) <= 76
    assert all(line.startswith(" ") for line in lines[1:])


@given(TEXTS)
def test_a_subject_is_read_as_it_was_meant_whatever_it_holds(text: str) -> None:
    field = unstructured("Subject", text)
    assert_well_formed(field)
    assert parsed(field) == one_line(text)


def shown_name(field: str) -> str:
    """Return the display name of a field of one address, as it is to be shown."""
    if field.count("=?utf-8?") > 1:
        # Python's newer parser puts spaces between the encoded words of a phrase (CPython's issue
        # 128110), against RFC 2047, 6.2; its older one reads them well.
        words = field.partition(": ")[2].rpartition("<")[0]
        return str(make_header(decode_header(words))).strip()
    (address,) = parsed(field).addresses
    return cast(str, address.display_name)


@given(TEXTS)
def test_a_display_name_is_read_as_it_was_meant_whatever_it_holds(name: str) -> None:
    field = address_field("To", name, "anna@example.org")
    assert_well_formed(field)
    (address,) = parsed(field).addresses
    assert address.addr_spec == "anna@example.org"
    assert shown_name(field) == one_line(name)


@given(st.text())
def test_one_line_is_one_line_and_stays_so(text: str) -> None:
    line = one_line(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    assert line == one_line(line) == line.strip()


@given(st.text(min_size=1), st.integers(30, 75))
def test_no_encoded_word_is_too_long_or_cuts_a_character(text: str, first: int) -> None:
    words = encoded_words(one_line(text) or "x", first)
    assert len(words[0]) <= first
    for word in words:
        assert len(word) <= 75
        assert "\ufffd" not in parsed(f"Subject: {word}\r\n") or "\ufffd" in text


def test_a_line_break_in_a_subject_adds_no_header() -> None:
    field = unstructured("Subject", "Hello\r\nBcc: boris@example.org\r\n\r\n<script>")
    assert field == "Subject: Hello Bcc: boris@example.org <script>\r\n"


def test_plain_text_is_folded_at_a_space_and_not_encoded() -> None:
    field = unstructured("Subject", "word " * 30)
    assert "=?" not in field
    assert field.count("\r\n word") == 2


def test_what_looks_like_an_encoded_word_is_encoded_so_that_it_stays_text() -> None:
    trick = "=?utf-8?q?Bcc=3A?="
    assert parsed(unstructured("Subject", trick)) == trick


def test_russian_goes_in_base64_and_french_in_q() -> None:
    assert "=?utf-8?b?" in unstructured("Subject", "Новая серия: «Вампиры»")
    assert "=?utf-8?q?" in unstructured("Subject", "Les Vampires, épisode 7")


def test_a_name_with_a_comma_is_quoted() -> None:
    field = address_field("From", 'Cinema, "the" best', "noreply@example.org")
    assert field == 'From: "Cinema, \\"the\\" best" <noreply@example.org>\r\n'


def test_a_url_in_angle_brackets_is_not_cut() -> None:
    url = "https://cinema.example/unsubscribe/" + "a" * 300
    assert bracketed("List-Unsubscribe", url) == f"List-Unsubscribe: <{url}>\r\n"


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nBcc: x", "a>b", "ж", "a" * 1000])
def test_a_url_that_cannot_stand_in_a_header_is_refused(bad: str) -> None:
    with pytest.raises(InvalidMail, match="List-Unsubscribe"):
        bracketed("List-Unsubscribe", bad)
