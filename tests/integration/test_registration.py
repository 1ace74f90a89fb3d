"""Registrations, from the record to the mail and the confirmed address."""

from __future__ import annotations

import re

import pytest

from streams.fields import user_of
from tests.integration.cinema import Cinema

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

CODE = re.compile(r"http://\S+/confirm/[0-9a-f]{32}")


async def test_a_registration_becomes_one_mail_whose_link_confirms_the_address(
    cinema: Cinema,
) -> None:
    user, address = cinema.name(), f"{cinema.name('ann')}@example.com"
    value = {
        "event": "send_greeting",
        "user_id": user,
        "email": address,
        "username": "Ann Lee",
        "locale": "en",
        "redirect_url": "https://cinema.example/welcome",
    }
    await cinema.send("registration", value, user)
    await cinema.settle()
    (mail,) = await cinema.mails(address)
    assert "Ann Lee" in mail.text and "Ann Lee" in mail.html
    assert "Auto-Submitted: auto-generated" in mail.raw
    assert "List-Unsubscribe" not in mail.raw
    (link,) = set(CODE.findall(mail.text))
    confirmed = cinema.log.counts["confirmations"]
    async with cinema.http.get(link, allow_redirects=False) as page:
        assert page.status == 200
    async with cinema.http.post(link, allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"] == "https://cinema.example/welcome"
    await cinema.settle()
    assert cinema.log.counts["confirmations"] == confirmed + 1
    assert [status for status, _ in cinema.deliveries(user)] == ["sent"]


async def test_an_older_producers_registration_is_about_the_address_and_keeps_its_redirect(
    cinema: Cinema,
) -> None:
    address = f"{cinema.name('Bob')}@Example.com"
    link_out = "https://cinema.example/out"
    value = {"link_out": link_out, "link": "https://x.example", "user": "Bob", "email": address}
    await cinema.send("registration", value, user_of(address))
    await cinema.settle()
    (mail,) = await cinema.mails(address)
    assert "Bob" in mail.text and "x.example" not in mail.raw
    (link,) = set(CODE.findall(mail.text))
    async with cinema.http.post(link, allow_redirects=False) as response:
        assert response.headers["Location"] == link_out


async def test_a_person_registers_in_russian_and_is_greeted_in_russian(cinema: Cinema) -> None:
    user = cinema.name()
    address = f"{user}@example.com"
    value = {"event": "send_greeting", "user_id": user, "email": address, "username": "Анна"}
    await cinema.send("registration", value | {"locale": "ru_RU"}, user)
    await cinema.settle()
    (mail,) = await cinema.mails(address)
    assert "Анна" in mail.text
    assert re.search("[а-я]{4}", mail.subject)


async def test_a_second_registration_is_skipped_with_its_reason(cinema: Cinema) -> None:
    user = cinema.name()
    address = f"{user}@example.com"
    value = {"event": "send_greeting", "user_id": user, "email": address, "username": "Cat"}
    await cinema.send("registration", value, user)
    await cinema.send("registration", value, user)
    await cinema.settle()
    assert len(await cinema.mails(address)) == 1
    assert sorted(cinema.deliveries(user))[1] == ("skipped", "greeted already")


async def test_the_bare_trigger_greets_everyone_who_was_not_greeted_yet(cinema: Cinema) -> None:
    greeted, new = await cinema.person(), await cinema.person()
    value = {"event": "send_greeting", "user_id": greeted, "email": "x@example.com"}
    await cinema.send("registration", value | {"username": "X"}, greeted)
    await cinema.settle()
    await cinema.send("registration", {"event": "send_greeting"})
    await cinema.settle()
    assert len(cinema.jobs(greeted, "welcome")) == 1
    assert len(cinema.jobs(new, "welcome")) == 1
    assert len(await cinema.mails(f"{new}@example.com")) == 1


async def test_the_same_event_id_again_is_a_duplicate_wherever_it_lies(cinema: Cinema) -> None:
    user = cinema.name()
    value = {
        "event": "send_greeting",
        "event_id": cinema.name("event"),
        "user_id": user,
        "email": f"{user}@example.com",
        "username": "Dan",
    }
    before = (await cinema.settle()).total(
        "cinema_records", topic="registration", outcome="duplicate"
    )
    await cinema.send("registration", value, user)
    await cinema.send("registration", value, user)
    await cinema.send("registration", value)
    found = await cinema.settle()
    assert found.total("cinema_records", topic="registration", outcome="duplicate") >= before + 1
    assert [status for status, _ in cinema.deliveries(user)] == ["sent"]
    assert len(await cinema.mails(f"{user}@example.com")) == 1


async def test_a_link_that_has_expired_is_renewed_to_the_same_address_and_confirms(
    cinema: Cinema,
) -> None:
    user = cinema.name()
    address = f"{user}@example.com"
    value = {"event": "send_greeting", "user_id": user, "email": address, "username": "Dan"}
    await cinema.send("registration", value, user)
    await cinema.settle()
    (mail,) = await cinema.mails(address)
    (link,) = CODE.findall(mail.text)
    await cinema.advance(days=8)
    async with cinema.http.get(link) as page:
        assert page.status == 404
        assert 'name="renew"' in await page.text()
    for _ in range(2):
        async with cinema.http.post(link, data={"renew": "1"}) as page:
            assert page.status == 200
    await cinema.settle()
    (new,) = {code for mail in await cinema.mails(address) for code in CODE.findall(mail.text)} - {
        link
    }
    async with cinema.http.post(new, allow_redirects=False) as response:
        assert response.status == 303
    await cinema.settle()
    assert [status for status, _ in cinema.deliveries(user, "welcome")] == ["sent", "sent"]
