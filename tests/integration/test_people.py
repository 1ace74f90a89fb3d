"""Profiles, what people chose themselves, and erasure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.integration.cinema import Cinema

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

CONFIRM: Final = re.compile(r"/confirm/[0-9a-f]{32}")


async def tell_of_an_episode(cinema: Cinema, user: str) -> None:
    """Let a series that someone follows have a new episode."""
    series = cinema.name("series")
    await cinema.send("bookmarks", {"user_id": user, "series_id": series, "added": True}, user)
    await cinema.settle()
    episode = {"series_id": series, "serial_name": "Lost Reels", "link": "https://c.example/1"}
    await cinema.send("episodes", episode, series)
    await cinema.settle()


async def test_a_profile_replaces_the_one_before_and_mails_follow_it(cinema: Cinema) -> None:
    await cinema.to_daytime()
    user = await cinema.person(username="Old Name")
    await cinema.person(user_id=user, username="New Name", email=f"new-{user}@example.com")
    await tell_of_an_episode(cinema, user)
    (mail,) = await cinema.mails(f"new-{user}@example.com")
    assert "New Name" in mail.text
    assert await cinema.mails(f"{user}@example.com") == []


async def test_an_unknown_locale_is_written_to_in_the_default_one(cinema: Cinema) -> None:
    user = await cinema.person(locale="tlh")
    await cinema.send("letters", {"subject": "Hi", "text": "Hello", "to": f"{user}@example.com"})
    value = {"event": "send_greeting", "user_id": user, "email": "a@b.example", "username": "K"}
    sent = await cinema.send("registration", value, user)
    await cinema.settle()
    assert not cinema.is_dead(sent)
    assert {job["locale"] for job in cinema.jobs(user)} == {"en"}


async def test_what_a_person_chose_wins_over_the_profile(cinema: Cinema) -> None:
    user = await cinema.person(locale="en", timezone="Europe/Berlin")
    choice = {"user_id": user, "locale": "ru", "timezone": "Asia/Kathmandu"}
    await cinema.send("preferences", choice, user)
    await cinema.person(user_id=user, locale="en", timezone="Europe/Berlin")
    await cinema.settle()
    assert (await cinema.statistics(user))["timezone"] == "Asia/Kathmandu"
    await cinema.send("activity", {"user_id": user, "body": "x"}, user)
    await cinema.settle()
    assert {job["locale"] for job in cinema.jobs(user)} == {"ru"}


async def test_choices_decide_what_is_said_and_over_which_channel(cinema: Cinema) -> None:
    await cinema.to_daytime()
    series = cinema.name("series")
    quiet, loud, none = [await cinema.person() for _ in range(3)]
    chosen: dict[str, dict[str, Any]] = {
        quiet: {"unsubscribe": ["episode"], "reason": "too many"},
        loud: {"channels": {"episode": ["websocket"]}},
        none: {"taboo": True},
    }
    for user, choice in chosen.items():
        bookmark = {"user_id": user, "series_id": series, "added": True}
        await cinema.send("bookmarks", bookmark, user)
        await cinema.send("preferences", {"user_id": user, **choice}, user)
    await cinema.settle()
    episode = {"series_id": series, "serial_name": "S", "link": "https://c.example/2"}
    await cinema.send("episodes", episode, series)
    await cinema.settle()
    assert cinema.deliveries(quiet, "episode") == [("skipped", "unsubscribed")]
    assert cinema.deliveries(none, "episode") == [("skipped", "taboo")]
    assert [job["channel"] for job in cinema.jobs(loud)] == ["websocket"]
    await cinema.send("preferences", {"user_id": quiet, "resubscribe": ["episode"]}, quiet)
    await cinema.settle()
    await cinema.send("episodes", {**episode, "episode": 2}, series)
    await cinema.settle()
    assert {job["channel"] for job in cinema.jobs(quiet)} == {"email", "websocket"}


async def test_a_pause_ends_when_its_time_has_come(cinema: Cinema) -> None:
    user = await cinema.person()
    until = cinema.now.replace(microsecond=0)
    later = until.timestamp() + 3600
    await cinema.send("preferences", {"user_id": user, "pause_until": later}, user)
    await cinema.settle()
    await cinema.send("activity", {"user_id": user, "body": "now"}, user)
    await cinema.settle()
    ((status, reason),) = cinema.deliveries(user)
    assert status == "skipped" and reason.startswith("paused until")
    await cinema.advance(hours=1, seconds=1)
    await cinema.send("activity", {"user_id": user, "body": "later"}, user)
    await cinema.settle()
    assert [job["context"]["body"] for job in cinema.jobs(user)] == ["later"]


async def test_an_unsubscribe_link_from_a_mail_ends_that_kind(cinema: Cinema) -> None:
    await cinema.to_daytime()
    user, series = await cinema.person(), cinema.name("series")
    await cinema.send("bookmarks", {"user_id": user, "series_id": series, "added": True}, user)
    await cinema.settle()
    episode = {"series_id": series, "serial_name": "S", "link": "https://c.example/3"}
    await cinema.send("episodes", episode, series)
    await cinema.settle()
    (mail,) = await cinema.mails(f"{user}@example.com")
    head = mail.raw.replace("\r\n ", " ").replace("\n ", " ")
    link = head.split("List-Unsubscribe: ", 1)[1].split("<", 1)[1].split(">", 1)[0]
    async with cinema.http.get(link) as page:
        assert page.status == 200
    async with cinema.http.post(link, data={"List-Unsubscribe": "One-Click"}) as response:
        assert response.status == 200
    await cinema.settle()
    await cinema.send("episodes", {**episode, "episode": 2}, series)
    await cinema.settle()
    assert cinema.deliveries(user, "episode")[-1] == ("skipped", "unsubscribed")


async def test_a_tombstone_erases_the_person_everywhere(cinema: Cinema) -> None:
    user, film = await cinema.person(), await cinema.film(genres=["noir"])
    await cinema.watch(user, film, cinema.now)
    await cinema.send("activity", {"user_id": user, "body": "secret"}, user)
    await cinema.settle()
    month = f"{cinema.now:%Y-%m}"
    assert (await cinema.statistics(user, month))["films"] == 1
    assert len(await cinema.get(f"/users/{user}/deliveries")) == 1
    (hello, entry) = await cinema.frames(user, 1)
    assert hello["unread"] == 1 and entry["body"] == "secret"
    sent = await cinema.send("users", None, user)
    await cinema.settle()
    assert not cinema.is_dead(sent)
    assert user in cinema.log.erased
    assert (await cinema.statistics(user, month))["films"] == 0
    assert await cinema.get(f"/users/{user}/deliveries") == []
    (hello,) = await cinema.frames(user, 0)
    assert hello["unread"] == 0


async def test_who_was_erased_and_comes_back_begins_anew_and_the_numbers_add_up(
    cinema: Cinema,
) -> None:
    await cinema.to_daytime()
    user = cinema.name()
    address = f"{user}@example.com"
    greeting = {"event": "send_greeting", "user_id": user, "email": address, "username": "Phoenix"}
    trigger = {"event": "send_statistic", "users": [user], "month": "2026-11"}
    links = set()
    for life in (1, 2):
        await cinema.to_daytime()
        await cinema.send("registration", greeting | {"timezone": "UTC"}, user)
        await cinema.watch(user, f"film-{life}", datetime(2026, 11, 10, 12, tzinfo=UTC))
        await cinema.send("activity", {"user_id": user, "body": "Hi", "event_id": "e"}, user)
        await cinema.settle()
        await cinema.send("monthly_statistic", trigger)
        await cinema.settle()
        mails = await cinema.mails(address)
        assert len(mails) == 2 * life
        links |= {link for mail in mails for link in CONFIRM.findall(mail.text)}
        assert len(links) == life
        assert len(await cinema.frames(user, 1)) == 2
        # The letter of the night rests, and is skipped when its person leaves.
        await cinema.tick(cinema.now.replace(hour=23))
        await cinema.watch(user, f"film-{life}", datetime(2026, 10, 10, 12, tzinfo=UTC))
        await cinema.settle()
        await cinema.send("monthly_statistic", trigger | {"month": "2026-10"})
        await cinema.settle()
        assert cinema.deliveries(user)[-1][0] == "deferred"
        await cinema.send("users", None, user)
        await cinema.settle()
        assert cinema.deliveries(user)[-1] == ("skipped", "erased")
        await cinema.advance(seconds=1)
    assert len({job["job_id"] for job in cinema.jobs(user)}) == 2 * 4
    wrong = await cinema.wrong_numbers()
    assert not wrong, "\n".join(wrong)


async def test_a_job_that_is_retried_when_its_person_leaves_does_not_rest_again(
    cinema: Cinema,
) -> None:
    await cinema.to_daytime()
    user = await cinema.person()
    await cinema.send("activity", {"user_id": user, "body": "Hi"}, user)
    await cinema.settle()
    (job,) = cinema.jobs(user)
    await cinema.send("users", None, user)
    await cinema.settle()
    later = {"attempt": 1, "not_before": (cinema.now + timedelta(hours=1)).isoformat()}
    again = {name: value for name, value in job.items() if name != "topic"} | later
    resting = (await cinema.settle()).total("cinema_deferred")
    await cinema.send("held", again, user)
    assert (await cinema.settle()).total("cinema_deferred") == resting
    assert cinema.deliveries(user)[-1] == ("skipped", "erased")
    wrong = await cinema.wrong_numbers()
    assert not wrong, "\n".join(wrong)


async def test_the_preferences_page_shows_what_holds_and_why_somebody_left(
    cinema: Cinema,
) -> None:
    await cinema.to_daytime()
    user = await cinema.person(locale="ru", timezone="Asia/Kathmandu")
    await tell_of_an_episode(cinema, user)
    (mail,) = await cinema.mails(f"{user}@example.com")
    leave, prefer = (
        next(iter(re.findall(rf"http://\S+/{page}/\S+", mail.text)))
        for page in ("unsubscribe", "preferences")
    )
    async with cinema.http.get(prefer) as page:
        text = await page.text()
        assert 'name="timezone"' in text and 'value="Asia/Kathmandu"' in text
        assert '<input type="hidden" name="was.episode" value="both">' in text
    async with cinema.http.post(leave, data={"reason": "too_many"}) as page:
        assert page.status == 200
    await cinema.settle()
    async with cinema.http.get(prefer) as page:
        assert '<input type="hidden" name="was.episode" value="none">' in await page.text()
    known = await cinema.get(f"/users/{user}/preferences")
    assert known["unsubscribed"] == {"episode": "too_many"}


async def test_a_person_previews_with_their_own_data_and_the_status_page_has_all_workers(
    cinema: Cinema,
) -> None:
    user = await cinema.person(username="Eva Preview")
    await cinema.settle()
    headers = {"Authorization": f"Bearer {cinema.up.addresses.api_key}"}
    url = f"{cinema.sender}/preview/personal_selection/en?user={user}"
    async with cinema.http.get(url, headers=headers) as page:
        text = await page.text()
        assert page.status == 200
        assert "Eva Preview" in text and f"To: {user}@example.com" in text
    async with cinema.http.get(f"{cinema.streams}/status", headers=headers) as page:
        text = await page.text()
        assert cinema.sender in text
        assert "does not answer" not in text
