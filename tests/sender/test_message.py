from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sender.addresses import ascii_domain
from sender.headers import one_line
from sender.message import Mail, build
from streams.errors import InvalidMail

MAIL = Mail(
    job_id="0123456789abcdef0123456789abcdef",
    sender="Cinema <noreply@cinema.example>",
    to="anna@example.org",
    subject="Welcome",
    text="Hello, Anna!\n",
    html="<p>Hello, Anna!</p>\n",
    locale="en",
    date=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
)
LONG = "x" * 998
BODIES = st.one_of(
    st.text(),
    st.text(alphabet="a .-=_\r\nж🎬\x00\t\x0b\x0c\x85\u2028", max_size=300),
    st.sampled_from([LONG, LONG + "x", "ж" * 499, "ж" * 500, f"a\n{LONG}\n{LONG}y\n", "\n" * 9]),
)


def read(data: bytes) -> EmailMessage:
    """Return the mail as Python's parser reads it."""
    return message_from_bytes(data, policy=policy.SMTP)


def content(part: MIMEPart) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def meant(text: str) -> str:
    """Return the text as a mail can carry it: line ends of one kind, no NUL, no lone surrogate."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return text.encode("utf-8", "replace").decode()


def assert_on_the_wire(data: bytes) -> None:
    lines = data.split(b"\r\n")
    assert lines[-1] == b""
    assert all(len(line) <= 998 for line in lines)
    assert not any(mark in line for line in lines for mark in (b"\r", b"\n", b"\x00"))


@settings(max_examples=60)
@given(
    subject=st.text(),
    to_name=st.text(max_size=11),
    text=BODIES,
    html=BODIES,
    job_id=st.text(alphabet="0123456789abcdef", min_size=1, max_size=32),
    date=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
    eightbit=st.booleans(),
)
@example("", "", "--=_0", "\r\n--=_0--\r\n", "0", datetime(2026, 1, 1, tzinfo=UTC), True)
@example("a" * 99, "", LONG + "ж", "é" * 3000, "0", datetime(2026, 1, 1, tzinfo=UTC), False)
def test_pythons_parser_reads_what_was_meant(
    subject: str,
    to_name: str,
    text: str,
    html: str,
    job_id: str,
    date: datetime,
    eightbit: bool,
) -> None:
    mail = replace(
        MAIL, subject=subject, to_name=to_name, text=text, html=html, job_id=job_id, date=date
    )
    data = build(mail, eightbit=eightbit)
    assert_on_the_wire(data)
    assert eightbit or data.isascii()

    message = read(data)
    assert [part.defects for part in message.walk()] == [[], [], []]
    assert [value.defects for value in message.values()] == [() for _ in message.values()]
    assert message.get_content_type() == "multipart/alternative"
    plain, rich = message.iter_parts()
    assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
    assert (content(plain), content(rich)) == (
        meant(text),
        meant(html),
    )
    assert message["Subject"] == one_line(subject)
    (to,) = message["To"].addresses
    assert (to.display_name, to.addr_spec) == (one_line(to_name), "anna@example.org")
    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Cinema", "noreply@cinema.example")
    assert message["Date"].datetime == date.replace(microsecond=0)
    assert message["Message-ID"] == f"<{job_id}@cinema.example>"
    assert message.keys() == [
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "Content-Language",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]


@settings(max_examples=60)
@given(
    local=st.text(alphabet="ab.+'\"\\ (,@", min_size=1, max_size=30),
    domain=st.sampled_from(["example.org", "кино.рф", "a-b.example"]),
    token=st.text(alphabet="abcXYZ0-9_.~%/?=&", max_size=900),
    kind=st.text(alphabet="abcxyz_", min_size=1, max_size=64),
    feedback=st.text(max_size=120),
)
@example("a" * 240, "example.org", "x" * 900, "tip", "ж" * 300)
def test_addresses_links_and_ids_are_read_as_they_were_meant(
    local: str, domain: str, token: str, kind: str, feedback: str
) -> None:
    url = f"https://n.cinema.example/unsubscribe/{token}"
    mail = replace(
        MAIL,
        to=f"{local}@{domain}",
        unsubscribe_url=url,
        list_id=f"{kind}.cinema.example",
        feedback_id=feedback,
    )
    data = build(mail, eightbit=True)
    assert_on_the_wire(data)
    message = read(data)
    assert [value.defects for value in message.values()] == [() for _ in message.values()]
    (to,) = message["To"].addresses
    quoted = len(local) > 1 and local[0] == local[-1] == '"'
    assert to.username == (re.sub(r"\\(.)", r"\1", local[1:-1]) if quoted else local)
    assert to.domain == ascii_domain(domain)
    assert message["List-Unsubscribe"] == f"<{url}>"
    assert message["List-Id"] == f"<{kind}.cinema.example>"
    assert message["Feedback-ID"] == one_line(feedback)


def test_no_parameter_of_a_field_is_anybodys_text() -> None:
    # So none needs RFC 2231's form: the boundary is the job's id, the rest is ours.
    message = read(build(MAIL, eightbit=True))
    assert dict(message["Content-Type"].params) == {"boundary": f"=_{MAIL.job_id}"}
    for part in message.iter_parts():
        assert dict(part["Content-Type"].params) == {"charset": "utf-8"}
        assert part.keys() == ["Content-Type", "Content-Transfer-Encoding"]


def test_a_mail_that_can_be_unsubscribed_carries_the_one_click_headers() -> None:
    url = "https://n.cinema.example/unsubscribe/" + "token." * 40
    mail = replace(
        MAIL, unsubscribe_url=url, list_id="tip.cinema.example", feedback_id="tip:tip:en:cinema"
    )
    message = read(build(mail, eightbit=True))
    assert message["List-Unsubscribe"] == f"<{url}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<tip.cinema.example>"
    assert message["Feedback-ID"] == "tip:tip:en:cinema"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"


def test_a_mail_that_cannot_be_unsubscribed_carries_none_of_them() -> None:
    message = read(build(MAIL, eightbit=True))
    assert not [name for name in message if name.startswith("List-")]


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Hi\r\nBcc: boris@example.org"},
        {"to_name": "Anna\r\nBcc: boris@example.org"},
        {"feedback_id": "a\r\nBcc: boris@example.org"},
        {"sender": "Cinema\r\nBcc: boris@example.org <noreply@cinema.example>"},
    ],
)
def test_no_line_break_in_a_field_makes_a_header(change: dict[str, str]) -> None:
    mail = replace(MAIL, **change)  # type: ignore[arg-type]
    message = read(build(mail, eightbit=True))
    assert "Bcc" not in message


@pytest.mark.parametrize(
    "change",
    [
        {"to": "anna@example.org\r\nBcc: boris@example.org"},
        {"to": "no address"},
        {"to": "a" * 990 + "@example.org"},
        {"to": '"' + "ж" * 495 + '"@example.org'},
        {"sender": f"Cinema <noreply@{'cinema.' * 150}example>"},
        {"job_id": "a\r\nBcc: boris@example.org"},
        {"job_id": ""},
        {"locale": "en\r\nBcc: boris@example.org"},
        {"unsubscribe_url": "https://x.example/\r\nBcc: boris@example.org"},
        {"list_id": "tip cinema"},
    ],
)
def test_what_no_header_can_hold_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(InvalidMail):
        build(replace(MAIL, **change), eightbit=True)  # type: ignore[arg-type]


def test_the_message_id_is_the_same_for_every_try() -> None:
    first = build(MAIL, eightbit=True)
    later = build(replace(MAIL, date=MAIL.date + timedelta(hours=6)), eightbit=False)
    assert read(first)["Message-ID"] == read(later)["Message-ID"]


def test_the_date_keeps_its_offset() -> None:
    moscow = datetime(2026, 11, 22, 12, 30, tzinfo=timezone(timedelta(hours=3)))
    data = build(replace(MAIL, date=moscow), eightbit=True)
    assert b"Date: Sun, 22 Nov 2026 12:30:00 +0300\r\n" in data


def encodings(mail: Mail, *, eightbit: bool) -> list[str]:
    message = read(build(mail, eightbit=eightbit))
    return [part["Content-Transfer-Encoding"] for part in message.iter_parts()]


def test_the_transfer_encoding_is_the_shortest_that_the_server_can_take() -> None:
    mixed = replace(MAIL, text="Привет, Анна! " * 20, html="<p>" + "Hello, Zoé! " * 50)
    assert encodings(mixed, eightbit=True) == ["8bit", "8bit"]
    assert encodings(mixed, eightbit=False) == ["base64", "quoted-printable"]
    assert encodings(MAIL, eightbit=False) == ["7bit", "7bit"]


def test_a_line_over_998_bytes_is_encoded_even_for_a_server_with_8bitmime() -> None:
    fits, over = replace(MAIL, text=LONG, html=LONG), replace(MAIL, text=LONG + "x", html="ж" * 500)
    assert encodings(fits, eightbit=True) == ["7bit", "7bit"]
    assert encodings(over, eightbit=True) == ["quoted-printable", "base64"]


def test_the_recipients_own_text_cannot_end_a_part() -> None:
    mark = f"--=_{MAIL.job_id}"
    mail = replace(MAIL, text=f"{mark}\n{mark}--\nContent-Type: text/html\n\n<script>")
    message = read(build(mail, eightbit=True))
    plain, _ = message.iter_parts()
    assert content(plain) == mail.text


def test_domains_are_in_ascii_in_header_and_envelope() -> None:
    mail = replace(MAIL, to="anna@кино.рф", sender="Кино <noreply@кино.рф>")
    assert not mail.needs_smtputf8
    assert mail.envelope_to == "anna@xn--h1adke.xn--p1ai"
    assert mail.envelope_from == "noreply@xn--h1adke.xn--p1ai"
    message = read(build(mail, eightbit=True))
    assert message["To"].addresses[0].addr_spec == mail.envelope_to
    assert message["From"].addresses[0].display_name == "Кино"
    assert message["Message-ID"].endswith("@xn--h1adke.xn--p1ai>")


def test_a_local_part_in_cyrillic_asks_for_smtputf8_and_stands_in_the_header_as_it_is() -> None:
    mail = replace(MAIL, to="анна@example.org")
    assert mail.needs_smtputf8
    assert "To: анна@example.org\r\n".encode() in build(mail, eightbit=True)
    assert not MAIL.needs_smtputf8
