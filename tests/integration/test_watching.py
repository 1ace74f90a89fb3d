"""Films, watches and lists, and what is said of them: episodes, reminders, statistics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.fields import user_of
from tests.integration.cinema import Cinema

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


def month_before(now: datetime) -> datetime:
    """Return a moment in the middle of the month before."""
    return (now.replace(day=1) - timedelta(days=1)).replace(day=15, hour=12)


async def test_a_month_is_counted_by_films_seconds_and_genres_in_the_persons_zone(
    cinema: Cinema,
) -> None:
    user = await cinema.person(timezone="Asia/Tokyo")
    noir = await cinema.film(genres=["noir", "drama"])
    farce = await cinema.film(genres=["farce"])
    # Already the first of March in Tokyo, still February in UTC.
    await cinema.watch(user, noir, datetime(2026, 2, 28, 16, tzinfo=UTC))
    await cinema.watch(user, noir, datetime(2026, 3, 15, 16, tzinfo=UTC), seconds=1800)
    await cinema.watch(user, farce, datetime(2026, 3, 20, 16, tzinfo=UTC), seconds=60)
    await cinema.watch(user, farce, datetime(2026, 3, 31, 15, tzinfo=UTC))
    await cinema.settle()
    assert await cinema.statistics(user, "2026-03") == {
        "user_id": user,
        "month": "2026-03",
        "timezone": "Asia/Tokyo",
        "films": 2,
        "seconds": 3600 + 1800 + 60,
        "genres": [
            {"genre": "drama", "films": 1, "seconds": 5400},
            {"genre": "noir", "films": 1, "seconds": 5400},
            {"genre": "farce", "films": 1, "seconds": 60},
        ],
        "top_genre": "drama",
        "streak": 1,
        "reported": False,
        "late": 0,
    }


async def test_a_watch_of_long_ago_is_skipped_with_its_month_and_its_statistics_are_gone(
    cinema: Cinema,
) -> None:
    user = await cinema.person()
    sent = await cinema.watch(user, "f", datetime(2001, 1, 1, tzinfo=UTC))
    await cinema.settle()
    assert not cinema.is_dead(sent)
    reason = "a watch of 2001-01 is older than the 24 months that are kept"
    assert cinema.deliveries(user, "monthly_statistic") == [("skipped", reason)]
    headers = {"Authorization": f"Bearer {cinema.up.addresses.api_key}"}
    page = f"{cinema.streams}/users/{user}/statistics?month=2001-01"
    async with cinema.http.get(page, headers=headers) as response:
        assert response.status == 404
        assert "24 months" in (await response.json())["message"]


async def test_a_film_and_a_person_heard_of_later_are_joined_later(cinema: Cinema) -> None:
    user, film = cinema.name(), cinema.name("film")
    await cinema.watch(user, film, month_before(cinema.now))
    month = f"{month_before(cinema.now):%Y-%m}"
    await cinema.settle()
    known = await cinema.statistics(user, month)
    assert known["films"] == 1 and known["top_genre"] is None
    await cinema.film(film_id=film, genres=["western"])
    await cinema.person(user_id=user)
    await cinema.settle()
    assert (await cinema.statistics(user, month))["top_genre"] == "western"


async def test_a_monthly_statistic_is_a_mail_with_the_months_numbers_once(cinema: Cinema) -> None:
    await cinema.to_daytime()
    user, idle = await cinema.person(), await cinema.person()
    film = await cinema.film(genres=["silent"])
    middle = month_before(cinema.now)
    await cinema.watch(user, film, middle)
    await cinema.watch(user, film, month_before(middle), seconds=7200)
    await cinema.settle()
    trigger = {"event": "send_statistic", "users": [user, idle]}
    await cinema.send("monthly_statistic", trigger)
    await cinema.settle()
    (mail,) = await cinema.mails(f"{user}@example.com")
    assert f"{middle:%B}" in mail.subject
    assert "1 film, 1 hour" in mail.text and "- silent: 1 film" in mail.text
    assert "Your genre of the month: silent." in mail.text
    assert f"In {month_before(middle):%B}" in mail.text and "2 hours" in mail.text
    month = f"{middle:%Y-%m}"
    assert cinema.deliveries(idle) == [("skipped", f"nothing watched in {month}")]
    await cinema.watch(user, film, middle)
    await cinema.send("monthly_statistic", {**trigger, "month": month})
    await cinema.settle()
    assert cinema.deliveries(user)[-1] == ("skipped", f"reported already for {month}")
    seen = await cinema.statistics(user, month)
    assert seen["reported"] is True and seen["late"] == 1
    assert len(await cinema.mails(f"{user}@example.com")) == 1


async def test_the_bare_statistic_trigger_reaches_all_who_watched(cinema: Cinema) -> None:
    await cinema.to_daytime()
    film, people = await cinema.film(), [await cinema.person() for _ in range(5)]
    for user in people:
        await cinema.watch(user, film, month_before(cinema.now))
    await cinema.settle()
    await cinema.send("monthly_statistic", {"event": "send_statistic"})
    await cinema.settle()
    for user in people:
        assert len(cinema.jobs(user, "monthly_statistic")) == 1


async def test_a_weekly_reminder_has_new_films_first_and_none_that_were_watched(
    cinema: Cinema,
) -> None:
    await cinema.to_daytime()
    user = await cinema.person()
    lately = cinema.now - timedelta(days=3)
    fresh = await cinema.film(released=f"{lately:%Y-%m-%d}", rating=1)
    best = await cinema.film(rating=100)
    good = await cinema.film(rating=99.5)
    watched = await cinema.film(rating=100)
    await cinema.watch(user, watched, cinema.now)
    await cinema.settle()
    await cinema.send("weekly_reminder", {"event": "send_reminder", "users": [user]})
    await cinema.settle()
    (job,) = cinema.jobs(user, "weekly_reminder")
    films = [film["film_id"] for film in job["context"]["films"]]
    assert len(films) <= 10 and watched not in films
    assert films.index(fresh) < films.index(best) < films.index(good)
    (mail,) = await cinema.mails(f"{user}@example.com")
    assert f"The {best}" in mail.text and f"The {watched}" not in mail.raw
    await cinema.send("weekly_reminder", {"event": "send_reminder", "users": [user]})
    await cinema.settle()
    ((_, _), (status, reason)) = cinema.deliveries(user)
    assert status == "skipped" and reason.startswith("reminded already in")


async def test_an_episode_reaches_those_who_bookmarked_or_watched_the_series(
    cinema: Cinema,
) -> None:
    await cinema.to_daytime()
    series = cinema.name("series")
    marked, viewer, dropped, other = [await cinema.person() for _ in range(4)]
    film = await cinema.film(series_id=series)
    await cinema.watch(viewer, film, cinema.now)
    for user, added in ((marked, True), (dropped, True), (dropped, False)):
        bookmark = {"user_id": user, "series_id": series, "added": added}
        await cinema.send("bookmarks", bookmark, user)
    await cinema.settle()
    link = "https://cinema.example/fantomas/1/2"
    episode = {"series_id": series, "serial_name": "Fantômas", "season": 1, "episode": 2}
    await cinema.send("episodes", {**episode, "link": link}, series)
    await cinema.settle()
    for user in (marked, viewer):
        (mail,) = await cinema.mails(f"{user}@example.com")
        assert "Fantômas" in mail.subject and link in mail.text and "Episode: 2" in mail.text
        (hello, entry) = await cinema.frames(user, 1)
        assert entry["kind"] == "episode" and entry["url"] == link
        assert "Fantômas" in entry["title"] and hello["unread"] == 1
    assert cinema.jobs(dropped) == cinema.jobs(other) == []


async def test_an_episode_for_named_people_reaches_them_and_nobody_else(cinema: Cinema) -> None:
    await cinema.to_daytime()
    named = [f"{cinema.name('Named')}@example.com" for _ in range(3)]
    episode: dict[str, Any] = {
        "serial_name": "Les Vampires",
        "link": "https://c.example/v",
        "users": [{"name": f"Name {number}", "email": one} for number, one in enumerate(named)],
    }
    await cinema.send("episodes", episode)
    await cinema.settle()
    for number, one in enumerate(named):
        (mail,) = await cinema.mails(one)
        assert f"Name {number}" in mail.text and "Les Vampires" in mail.subject
        assert {job["channel"] for job in cinema.jobs(user_of(one))} == {"email", "websocket"}
