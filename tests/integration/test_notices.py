"""Activity in the inbox, and letters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.cinema import Cinema

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_activity_comes_to_an_open_socket_at_once_and_unchanged(cinema: Cinema) -> None:
    user = cinema.name("stranger")
    body = 'Bob <b>liked</b> your review: "Ünïcode & 🎬"\nsecond line'
    async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
        await socket.send_json({"token": cinema.token(user)})
        assert (await socket.receive_json(timeout=5))["type"] == "hello"
        await cinema.send("activity", {"user_id": user, "body": body}, user)
        frame = await socket.receive_json(timeout=5)
        while frame["type"] != "notification":
            frame = await socket.receive_json(timeout=5)
        assert frame["body"] == body and frame["kind"] == "activity" and frame["read"] is False
        await socket.send_json({"type": "read", "ids": [frame["id"]]})
        while (frame := await socket.receive_json(timeout=5)).get("count") != 0:
            assert frame["type"] == "unread"
    await cinema.settle()
    ((status, _),) = cinema.deliveries(user)
    assert status == "sent"
    (hello,) = await cinema.frames(user, 0)
    assert hello["unread"] == 0


async def test_an_older_client_gets_the_body_as_plain_text_once(cinema: Cinema) -> None:
    user = cinema.name()
    await cinema.send("activity", {"user_id": user, "body": "plain words"}, user)
    await cinema.settle()
    async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
        await socket.send_str(cinema.token(user))
        assert await socket.receive_str(timeout=5) == "plain words"
    await cinema.settle()
    async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
        await socket.send_str(cinema.token(user))
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0.3)


async def test_activity_of_a_group_comes_as_one_when_its_window_ends(cinema: Cinema) -> None:
    user = await cinema.person(locale="ru")
    likes = [{"user_id": user, "group": "likes", "body": f"Оценка <{n}>"} for n in range(5)]
    async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
        await socket.send_json({"token": cinema.token(user)})
        assert (await socket.receive_json(timeout=5))["type"] == "hello"
        for like in likes:
            await cinema.send("activity", like, user)
        await cinema.send("activity", likes[0] | {"group": "answers"}, user)
        await cinema.advance(seconds=119)
        assert cinema.jobs(user) == []
        await cinema.advance(seconds=1)
        entries: list[dict[str, Any]] = []
        while len(entries) < 2:
            frame = await socket.receive_json(timeout=5)
            entries += [frame] if frame["type"] == "notification" else []
    many, one = entries
    assert many["title"] == "Для вас 5 новых событий"
    assert many["body"] == ("• Оценка <0>\n• Оценка <1>\n• Оценка <2>\n… и ещё 2 события, всего 5")
    assert one["body"] == "Оценка <0>"
    assert [job["context"].get("count") for job in cinema.jobs(user)] == [5, None]
    assert await cinema.wrong_numbers() == []


async def test_an_older_client_gets_a_group_as_plain_text(cinema: Cinema) -> None:
    user = cinema.name()
    for number in range(2):
        value = {"user_id": user, "group": "likes", "body": f"<b>{number}</b>"}
        await cinema.send("activity", value, user)
    await cinema.advance(minutes=2)
    async with cinema.http.ws_connect(f"{cinema.sender}/ws") as socket:
        await socket.send_str(cinema.token(user))
        assert await socket.receive_str(timeout=5) == "• <b>0</b>\n• <b>1</b>"


async def test_nothing_is_missed_or_repeated_after_a_reconnect(cinema: Cinema) -> None:
    user = cinema.name()
    for number in range(3):
        await cinema.send("activity", {"user_id": user, "body": str(number)}, user)
    await cinema.settle()
    (_, *entries) = await cinema.frames(user, 3)
    assert [entry["body"] for entry in entries] == ["0", "1", "2"]
    (_, last) = await cinema.frames(user, 1, last_id=entries[1]["id"])
    assert last["body"] == "2"


async def test_a_letter_goes_out_as_it_was_written(cinema: Cinema) -> None:
    to = [f"{cinema.name('Reader')}@example.com" for _ in range(2)]
    letter = {
        "subject": "News {{ 7 * 7 }}",
        "text": "Dear reader {% raw %} {{ subject }}",
        "body": "<p>Dear <b>reader</b><script>alert(1)</script></p>",
        "to": to,
    }
    await cinema.send("letters", letter)
    await cinema.settle()
    for address in to:
        (mail,) = await cinema.mails(address)
        assert mail.subject == "News {{ 7 * 7 }}"
        assert "Dear reader {% raw %} {{ subject }}" in mail.text
        assert "<b>reader</b>" in mail.html and "alert(1)" not in mail.html


async def test_the_same_letter_to_the_same_address_is_sent_once_a_day(cinema: Cinema) -> None:
    address = f"{cinema.name()}@example.com"
    letter = {"subject": "Once", "text": "only", "to": address}
    await cinema.send("letters", letter)
    await cinema.settle()
    await cinema.send("letters", letter | {"to": address.upper()})
    await cinema.settle()
    assert len(await cinema.mails(address)) == 1
    assert await cinema.mails(address.upper()) == []
    await cinema.advance(hours=24)
    await cinema.send("letters", letter)
    await cinema.settle()
    assert len(await cinema.mails(address)) == 2
