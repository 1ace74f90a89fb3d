"""A mail as bytes, written by hand: 8bit parts, folded headers, CRLF only.

Python's email package takes 30 times as long for the same bytes; the tests hold this module
against its parser.
"""

from __future__ import annotations

import binascii
import re
from base64 import encodebytes
from dataclasses import dataclass
from datetime import datetime, tzinfo
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from sender.addresses import ascii_domain, mailbox, needs_smtputf8, on_the_wire
from sender.headers import LINE_LIMIT, address_field, bracketed, unstructured
from sender.links import Links
from sender.render import Joined, Rendered
from sender.smtp.envelope import Lines, check_line_ends
from streams.errors import InvalidMail
from streams.jobs import Job

# A boundary may have 70 characters (RFC 2046, 5.1.1); the id stands in it and in Message-ID.
JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LANGUAGE: Final = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Everything one mail says.

    `text` and `html` are text, or bytes that have their wire form: UTF-8, CRLF, no NUL.
    `sender` is a mailbox, `Cinema <noreply@cinema.example>`; `to` a bare address. With
    `unsubscribe_url` the mail carries List-Unsubscribe and its one-click form (RFC 8058);
    `list_id` (RFC 2919) and `feedback_id` (the four fields mailbox providers group complaints by)
    are written as given.
    """

    job_id: str
    sender: str
    to: str
    to_name: str = ""
    subject: str
    text: str | bytes
    html: str | bytes
    locale: str
    date: datetime
    unsubscribe_url: str | None = None
    list_id: str | None = None
    feedback_id: str | None = None

    @classmethod
    def of(
        cls, job: Job, rendered: Rendered | Joined, links: Links, sender: str, date: datetime
    ) -> Mail:
        """Return the mail of a job as it was rendered, from that sender."""
        listed = links.unsubscribe_url is not None
        return cls(
            job_id=job.job_id,
            sender=sender,
            to=job.to,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            locale=rendered.locale,
            date=date,
            unsubscribe_url=links.unsubscribe_url,
            list_id=f"{job.kind}.{_domain(sender)}" if listed else None,
            # Google's form: three fields to group by, then the sender's, the same in every mail.
            feedback_id=f"{job.template}:{job.kind}:{rendered.locale}:cinema",
        )

    @property
    def needs_smtputf8(self) -> bool:
        """Tell whether only a server that offers SMTPUTF8 (RFC 6531) can take it."""
        return needs_smtputf8(mailbox(self.sender)[1], self.to)

    @property
    def envelope_from(self) -> str:
        """The reverse path's address."""
        return on_the_wire(mailbox(self.sender)[1])

    @property
    def envelope_to(self) -> str:
        """The forward path's address."""
        return on_the_wire(self.to)


def build(mail: Mail, *, eightbit: bool) -> bytes:
    """Return the mail in wire form, without the dots that SMTP's DATA adds.

    `eightbit` is whether the server offers 8BITMIME (RFC 6152); without it a part that is not
    ASCII is base64 or quoted-printable, whichever is shorter. Raises InvalidMail for an address,
    id or link that no header can hold.
    """
    if not JOB_ID.fullmatch(mail.job_id):
        raise InvalidMail(f"job_id {mail.job_id[:64]!r} cannot stand in a Message-ID: use a hash")
    if not LANGUAGE.fullmatch(mail.locale):
        raise InvalidMail(f"locale {mail.locale[:64]!r} is no language tag: write it as ru or en")
    text_encoding, text = _part(mail.text, eightbit)
    html_encoding, html = _part(mail.html, eightbit)
    boundary = f"=_{mail.job_id}"
    while (mark := boundary.encode()) in text or mark in html:
        boundary += "_"
    head = (
        f"Date: {_date(mail.date, mail.date.tzinfo)}\r\n"
        + _from(mail.sender)
        + address_field("To", mail.to_name, on_the_wire(mail.to))
        + unstructured("Subject", mail.subject)
        + f"Message-ID: <{mail.job_id}@{_domain(mail.sender)}>\r\n"
        + _list_fields(mail)
        + f"Content-Language: {mail.locale}\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'
        "\r\n"
        f"--{boundary}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {text_encoding}\r\n"
        "\r\n"
    ).encode()
    # Of what follows no line end is anybody's but ours (`in_wire_form`).
    check_line_ends(head)
    middle = (
        f"\r\n--{boundary}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {html_encoding}\r\n"
        "\r\n"
    )
    end = f"\r\n--{boundary}--\r\n"
    return Lines(b"".join((head, text, middle.encode(), html, end.encode())))


# A batch is written at one time. Two times of different zones may be equal.
@lru_cache(maxsize=64)
def _date(date: datetime, zone: tzinfo | None) -> str:
    return format_datetime(date)


@lru_cache(maxsize=64)
def _from(sender: str) -> str:
    name, address = mailbox(sender)
    return address_field("From", name, on_the_wire(address))


@lru_cache(maxsize=64)
def _domain(sender: str) -> str:
    return ascii_domain(mailbox(sender)[1].rpartition("@")[2])


def _list_fields(mail: Mail) -> str:
    fields = ""
    if mail.unsubscribe_url is not None:
        fields += bracketed("List-Unsubscribe", mail.unsubscribe_url)
        fields += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    if mail.list_id is not None:
        fields += bracketed("List-Id", mail.list_id)
    if mail.feedback_id is not None:
        fields += unstructured("Feedback-ID", mail.feedback_id)
    return fields


def in_wire_form(text: str) -> bytes:
    """Return a part's text in UTF-8, with the line ends of the wire and without NUL."""
    # A lone surrogate has no UTF-8. All else is done to bytes: that takes a third of the time.
    data = text.encode("utf-8", "replace")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # RFC 2045, 2.8: NUL stands in no part.
    return data.replace(b"\x00", b"").replace(b"\n", b"\r\n")


def _part(body: str | bytes, eightbit: bool) -> tuple[str, bytes]:
    """Return a part's transfer encoding and its bytes, without a last line end."""
    data = body if isinstance(body, bytes) else in_wire_form(body)
    if (eightbit or data.isascii()) and not _has_long_line(data):
        return ("7bit" if data.isascii() else "8bit"), data
    quoted = binascii.b2a_qp(data, istext=True)
    if len(quoted) <= (len(data) + 2) // 3 * 4 * 78 // 76:
        return "quoted-printable", quoted.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return "base64", encodebytes(data).rstrip(b"\n").replace(b"\n", b"\r\n")


def _has_long_line(data: bytes) -> bool:
    """Tell whether a line is over the limit, in one step for each 998 bytes."""
    start, end = 0, len(data)
    while end - start > LINE_LIMIT:
        # The last line end within the limit; its LF may be the 1,000th byte.
        start = data.rfind(b"\r\n", start, start + LINE_LIMIT + 2) + 2
        if start == 1:
            return True
    return False
