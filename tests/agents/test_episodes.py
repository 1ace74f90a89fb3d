"""New episodes."""

from __future__ import annotations

from datetime import timedelta

from streams.fields import user_of
from tests.agents.conftest import NOON, Desk, jobs, reasons

EPISODE = {"series_id": "s1", "serial_name": "Judex", "link": "https://c.example/3", "episode": 4}


def test_those_who_bookmarked_or_watched_the_series_are_told(cinema: Desk) -> None:
    cinema.send("users", user_id="eve", email="e@f.g")
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=True)
    cinema.send("watch_history", user_id="bob", film_id="f13", seconds=1, at=NOON.isoformat())
    found = jobs(cinema.send("episodes", **EPISODE))
    assert {(job.user_id, job.channel) for job in found} == {
        ("ann", "email"),
        ("ann", "websocket"),
        ("bob", "email"),
        ("bob", "websocket"),
    }
    assert found[0].context == {
        "username": "Ann",
        "serial_name": "Judex",
        "link": "https://c.example/3",
        "season": None,
        "episode": 4,
        "link_out": None,
    }
    assert found[0].expires_at == NOON + timedelta(days=3)


def test_who_took_the_series_off_the_list_is_not_told(cinema: Desk) -> None:
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=True)
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=False)
    cinema.send("bookmarks", NOON - timedelta(hours=1), user_id="ann", series_id="s1", added=True)
    assert cinema.send("episodes", **EPISODE) == []


def test_who_watched_the_series_under_its_own_id_is_told(cinema: Desk) -> None:
    cinema.send("watch_history", user_id="ann", film_id="s1", seconds=1, at=NOON.isoformat())
    assert {job.user_id for job in jobs(cinema.send("episodes", **EPISODE))} == {"ann"}


def test_those_named_are_told_also_if_nobody_knows_them(desk: Desk) -> None:
    users = [{"name": "Eve", "email": "eve@example.org"}]
    found = jobs(desk.send("episodes", **{**EPISODE, "users": users, "series_id": None}))
    assert {(job.channel, job.to) for job in found} == {
        ("email", "eve@example.org"),
        ("websocket", user_of("eve@example.org")),
    }
    assert found[0].context["username"] == "Eve"
    assert desk.tables.users.rows == {}


def test_who_has_unsubscribed_from_episodes_is_skipped_once(cinema: Desk) -> None:
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=True)
    cinema.send("preferences", user_id="ann", unsubscribe=["episode"])
    assert reasons(cinema.send("episodes", **EPISODE)) == ["unsubscribed"]


def test_each_record_is_an_episode_of_its_own(cinema: Desk) -> None:
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=True)
    first = {job.job_id for job in jobs(cinema.send("episodes", **EPISODE))}
    second = {job.job_id for job in jobs(cinema.send("episodes", **EPISODE))}
    assert len(first | second) == 4
