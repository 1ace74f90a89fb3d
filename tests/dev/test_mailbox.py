from __future__ import annotations

import smtplib
import socket
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest

from dev.mailbox.parse import summarise, texts
from dev.mailbox.store import Mailbox
from tests.conftest import MailboxAddresses


def letter(subject: str, to: str = "Ann <ann@example.com>", html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Cinema <noreply@cinema.example>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<1@cinema.example>"
    message["List-Unsubscribe"] = "<https://cinema.example/u/1>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("Здравствуйте\n")
    if html:
        message.add_alternative(html, subtype="html")
    return message


class Client:
    """A reader and a sender of one mailbox."""

    def __init__(self, mailbox: MailboxAddresses, session: aiohttp.ClientSession) -> None:
        self.mailbox = mailbox
        self.session = session

    def send(self, message: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.mailbox.smtp_port) as smtp:
            smtp.send_message(message, "bounce@cinema.example")

    async def json(self, path: str) -> Any:
        async with self.session.get(self.mailbox.url + path) as response:
            assert response.status == 200
            return await response.json()


@pytest.fixture
async def client(mailbox: MailboxAddresses) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        async with session.delete(f"{mailbox.url}/api/v1/messages") as response:
            assert await response.text() == "ok"
        yield Client(mailbox, session)


async def test_a_mail_is_listed_as_mailpit_lists_it(client: Client) -> None:
    client.send(letter("Привет", to="Аня <ann@example.com>, bob@example.com"))
    listed = await client.json("/api/v1/messages")
    (mail,) = listed["messages"]
    assert listed["total"] == 1
    assert mail["Subject"] == "Привет"
    assert mail["From"] == {"Name": "Cinema", "Address": "noreply@cinema.example"}
    assert mail["To"] == [
        {"Name": "Аня", "Address": "ann@example.com"},
        {"Name": "", "Address": "bob@example.com"},
    ]


async def test_a_mail_has_its_texts_and_its_unsubscribe_headers(client: Client) -> None:
    client.send(letter("One", html="<h1>Hello</h1>"))
    (mail,) = (await client.json("/api/v1/messages"))["messages"]
    found = await client.json(f"/api/v1/message/{mail['ID']}")
    assert found["Text"] == "Здравствуйте\r\n"
    assert found["HTML"].strip() == "<h1>Hello</h1>"
    assert found["ReturnPath"] == "bounce@cinema.example"
    assert found["ListUnsubscribe"] == {
        "Header": "<https://cinema.example/u/1>",
        "HeaderPost": "List-Unsubscribe=One-Click",
    }


async def test_raw_is_what_came_byte_for_byte(client: Client) -> None:
    body = b"Subject: \xd0\x9f\r\nTo: a@example.com\r\n\r\n..two dots\r\n8 bit: \xff\r\n"
    with smtplib.SMTP("127.0.0.1", client.mailbox.smtp_port) as smtp:
        smtp.sendmail("a@example.com", ["a@example.com"], body, ["BODY=8BITMIME"])
    (mail,) = (await client.json("/api/v1/messages"))["messages"]
    async with client.session.get(
        f"{client.mailbox.url}/api/v1/message/{mail['ID']}/raw"
    ) as response:
        assert await response.read() == body
    assert mail["Subject"] == "П"


async def test_pages_go_from_the_newest_to_the_oldest(client: Client) -> None:
    for number in range(5):
        client.send(letter(f"mail {number}"))
    first = await client.json("/api/v1/messages?start=0&limit=2")
    last = await client.json("/api/v1/messages?start=3&limit=50")
    assert [mail["Subject"] for mail in first["messages"]] == ["mail 4", "mail 3"]
    assert [mail["Subject"] for mail in last["messages"]] == ["mail 1", "mail 0"]
    assert first["total"] == last["total"] == 5


async def test_delete_takes_those_named_and_all_when_none_is(client: Client) -> None:
    for number in range(3):
        client.send(letter(f"mail {number}"))
    newest = (await client.json("/api/v1/messages"))["messages"][0]["ID"]
    url = f"{client.mailbox.url}/api/v1/messages"
    async with client.session.delete(url, json={"IDs": [newest]}) as response:
        assert response.status == 200
    left = (await client.json("/api/v1/messages"))["messages"]
    assert [mail["Subject"] for mail in left] == ["mail 1", "mail 0"]
    async with client.session.delete(url) as response:
        assert response.status == 200
    assert (await client.json("/api/v1/messages"))["total"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/message/nothing", 404),
        ("/api/v1/message/nothing/raw", 404),
        ("/mail/nothing", 404),
        ("/api/v1/messages?limit=-1", 400),
        ("/api/v1/messages?start=x", 400),
        ("/../setup.cfg", 404),
    ],
)
async def test_what_is_not_there_is_an_answer_too(client: Client, path: str, status: int) -> None:
    async with client.session.get(client.mailbox.url + path) as response:
        assert response.status == status


async def test_the_server_offers_what_the_sender_uses(client: Client) -> None:
    with smtplib.SMTP("127.0.0.1", client.mailbox.smtp_port) as smtp:
        smtp.ehlo()
        for feature in ("8bitmime", "smtputf8", "size", "pipelining"):
            assert smtp.has_extn(feature), feature


async def test_commands_sent_ahead_are_answered_in_order(client: Client) -> None:
    envelope = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
    mail = b"Subject: ahead\r\n\r\nbody\r\n.\r\n"
    with socket.create_connection(("127.0.0.1", client.mailbox.smtp_port), 5) as connection:
        replies = connection.makefile("rb")
        assert replies.readline().startswith(b"220")
        connection.sendall(b"EHLO test\r\n")
        while not replies.readline().startswith(b"250 "):
            pass
        # RFC 2920, 3.1: DATA ends a group; the mail and the next group go out together.
        connection.sendall(envelope)
        assert [replies.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        connection.sendall(mail + envelope)
        assert [replies.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        connection.sendall(mail + b"QUIT\r\n")
        assert [replies.readline()[:3] for _ in range(2)] == [b"250", b"221"]
    assert (await client.json("/api/v1/messages"))["total"] == 2


async def test_the_page_escapes_what_is_in_a_mail(client: Client) -> None:
    client.send(letter("<script>alert(1)</script>", html="<head></head><script>alert(2)</script>"))
    (mail,) = (await client.json("/api/v1/messages"))["messages"]
    async with client.session.get(f"{client.mailbox.url}/") as response:
        assert "<script>alert(1)" not in await response.text()
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    async with client.session.get(f"{client.mailbox.url}/mail/{mail['ID']}") as response:
        page = await response.text()
    assert "&lt;script&gt;alert(1)" in page
    assert "alert(2)" not in page
    async with client.session.get(f"{client.mailbox.url}/mail/{mail['ID']}/html") as response:
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox ")
        assert "allow-scripts" not in policy
        assert '<base target="_blank">' in await response.text()


def test_only_the_newest_are_kept() -> None:
    mailbox = Mailbox(keep=3)
    for number in range(5):
        mailbox.add(b"Subject: %d\r\n\r\n" % number, "a@example.com", ["b@example.com"])
    assert [mail.summary.subject for mail in mailbox.newest(0, 10)] == ["4", "3", "2"]


def test_a_mail_without_a_recipient_header_shows_the_envelope() -> None:
    summary = summarise(b"Subject: hidden\r\n\r\n", ["b@example.com"])
    assert [to.address for to in summary.to] == ["b@example.com"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n\r\n",
        b"\xff\xfe\x00",
        b"Subject: =?utf-8?b?broken\r\nFrom: =?nope?q?x?= <\r\n\r\nbody",
        b"Content-Type: text/plain; charset=nope\r\n\r\nbody",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nbroken",
    ],
)
def test_no_mail_is_too_broken_to_be_shown(content: bytes) -> None:
    assert summarise(content, []).message_id == ""
    assert len(texts(content)) == 2
