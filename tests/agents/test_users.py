"""Profiles, preferences and confirmations."""

from __future__ import annotations

from datetime import timedelta

from tests.agents.conftest import NOON, Desk, jobs, reasons


def test_a_profile_replaces_the_one_before(desk: Desk) -> None:
    desk.send("users", user_id="ann", email="a@b.c", username="Ann", locale="ru")
    desk.send("users", user_id="ann", email="d@e.f")
    user = desk.user("ann")
    assert (user.email, user.username, user.locale("en")) == ("d@e.f", "", "en")


def test_an_older_profile_that_was_forwarded_changes_nothing_but_the_past(desk: Desk) -> None:
    desk.send("users", user_id="ann", email="new@b.c", timezone="Asia/Tokyo")
    earlier = desk.now - timedelta(days=3)
    desk.send("users", earlier, user_id="ann", email="old@b.c", timezone="America/Lima")
    user = desk.user("ann")
    assert (user.email, user.timezone("UTC")) == ("new@b.c", "Asia/Tokyo")
    assert [zone for _, _, zone in user.zones] == ["America/Lima", "Asia/Tokyo"]


def test_a_profile_wins_over_a_younger_registration_that_was_read_before_it(desk: Desk) -> None:
    desk.send(
        "registration",
        event="send_greeting",
        user_id="ann",
        email="typed@b.c",
        username="Ann",
        locale="en",
    )
    earlier = desk.now - timedelta(seconds=1)
    desk.send("users", earlier, user_id="ann", email="a@b.c", username="Anna", locale="ru")
    user = desk.user("ann")
    assert (user.email, user.username, user.locale("en")) == ("a@b.c", "Anna", "ru")


def test_what_preferences_set_wins_over_the_profile(desk: Desk) -> None:
    desk.send(
        "preferences",
        user_id="ann",
        locale="ru",
        timezone="Asia/Tokyo",
        quiet_hours=None,
        channels={"tip": ["log"]},
    )
    desk.send(
        "users",
        user_id="ann",
        email="a@b.c",
        locale="en",
        timezone="America/Lima",
        quiet_hours={"from": "20:00", "to": "10:00"},
        channels={"tip": ["email"], "episode": ["log"]},
    )
    user = desk.user("ann")
    assert user.locale("en") == "ru"
    assert user.timezone("UTC") == "Asia/Tokyo"
    assert user.quiet_hours is None
    assert desk.tables.users.by_zone.keys() == {"Asia/Tokyo"}
    desk.send("preferences", user_id="ann", locale=None, timezone=None, channels=None)
    user = desk.user("ann")
    assert user.locale("ru") == "en"
    assert user.timezone("UTC") == "America/Lima"
    assert user.choices.channels == {}


def test_a_younger_choice_does_not_swallow_an_older_one_that_comes_late(desk: Desk) -> None:
    desk.send("preferences", user_id="ann", locale="ru")
    earlier = desk.now - timedelta(minutes=1)
    desk.send("preferences", earlier, user_id="ann", locale="en", unsubscribe=["tip"])
    choices = desk.user("ann").choices
    assert choices.locale == "ru"
    assert choices.unsubscribed == ["tip"]


def test_an_older_resubscription_does_not_undo_a_younger_no(desk: Desk) -> None:
    desk.send("preferences", user_id="ann", unsubscribe=["tip", "episode"])
    desk.send("preferences", desk.now - timedelta(minutes=1), user_id="ann", resubscribe=["tip"])
    assert desk.user("ann").choices.unsubscribed == ["tip", "episode"]
    desk.send("preferences", user_id="ann", resubscribe=["tip"])
    assert desk.user("ann").choices.unsubscribed == ["episode"]


def test_a_tombstone_erases_the_person_from_every_table(cinema: Desk) -> None:
    cinema.send("watch_history", user_id="ann", film_id="f1", seconds=9, at=NOON.timestamp())
    cinema.send("bookmarks", user_id="ann", series_id="s1", added=True)
    cinema.tables.seen.add("users", "ann", "e1", NOON)
    cinema.now = NOON.replace(hour=23)
    cinema.hold(cinema.send("weekly_reminder", event="send_reminder", users=["ann"]))
    assert len(cinema.tables.deferred.rows) == 1
    cinema.tombstone("users", "ann")
    tables = cinema.tables
    for view in (tables.users, tables.watch_history, tables.bookmarks, tables.seen):
        assert not any("ann" in key for key in view.rows)
    assert not tables.deferred.rows
    assert list(tables.users.known) == ["bob"]
    assert tables.users.by_zone.keys() == {"Asia/Tokyo"}


def test_erasure_takes_what_the_same_batch_has_brought(cinema: Desk) -> None:
    tables = cinema.tables
    tables.seen.add("users", "ann", "e1", NOON)
    tables.keep()
    tables.forget("ann", "users/0/1", NOON)
    tables.keep()
    left = {key for key, value in tables.changelog() if value and b"ann" in key}
    assert left == {b"erased:ann"}


def test_a_confirmed_address_is_marked_unless_there_is_another_by_now(cinema: Desk) -> None:
    at = NOON.isoformat()
    cinema.send("confirmations", user_id="ann", email="old@example.org", at=at)
    assert cinema.user("ann").confirmed_at is None
    cinema.send("confirmations", user_id="ann", email="Ann@example.org", at=at)
    assert cinema.user("ann").confirmed_at == NOON


def test_the_unsubscribed_the_paused_and_the_taboo_are_skipped_with_the_reason(
    cinema: Desk,
) -> None:
    trigger = {"event": "send_reminder", "users": ["ann"]}
    cinema.send("preferences", user_id="ann", unsubscribe=["weekly_reminder"])
    assert reasons(cinema.send("weekly_reminder", **trigger)) == ["unsubscribed"]
    cinema.send("preferences", user_id="ann", resubscribe=["weekly_reminder"])
    until = NOON + timedelta(days=2)
    cinema.send("preferences", user_id="ann", pause_until=until.isoformat())
    assert reasons(cinema.send("weekly_reminder", **trigger)) == [
        f"paused until {until.isoformat()}"
    ]
    cinema.send("preferences", user_id="ann", pause_until=None, taboo=True)
    assert reasons(cinema.send("weekly_reminder", **trigger)) == ["taboo"]
    cinema.send("preferences", user_id="ann", taboo=False)
    assert len(jobs(cinema.send("weekly_reminder", **trigger))) == 1


def test_each_skip_has_an_id_of_its_own(cinema: Desk) -> None:
    cinema.send("preferences", user_id="ann", taboo=True)
    ids = {
        cinema.send("weekly_reminder", event="send_reminder", users=["ann"])[0].job_id  # type: ignore[union-attr]
        for _ in range(3)
    }
    assert len(ids) == 3


def test_without_an_address_or_a_channel_there_is_nothing_to_send(cinema: Desk) -> None:
    trigger = {"event": "send_reminder", "users": ["eve"]}
    assert reasons(cinema.send("weekly_reminder", **trigger)) == ["no address known"]
    cinema.send("preferences", user_id="eve", channels={"weekly_reminder": []})
    assert reasons(cinema.send("weekly_reminder", **trigger)) == ["no channel chosen"]
    cinema.send("preferences", user_id="eve", channels={"weekly_reminder": ["email", "log"]})
    (job,) = jobs(cinema.send("weekly_reminder", **trigger))
    assert (job.channel, job.to) == ("log", "eve")
