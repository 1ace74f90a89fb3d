"""What input records may say, whom they are about, and how a mistake is named."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from streams.events import Campaign, Episode, Film, Letter, Preferences, Registration
from streams.fields import user_of
from streams.topics import DECODERS, INPUTS

ANN, BOB = "ann@example.org", "bob@example.org"
GOOD: dict[str, dict[str, Any]] = {
    "users": {"user_id": 7, "email": ANN, "username": "Ann", "timezone": "Asia/Tokyo"},
    "films": {"film_id": 1, "title": "Metropolis", "genres": ["drama"], "rating": 8.3},
    "registration": {"event": "send_greeting", "email": ANN, "username": "Ann"},
    "watch_history": {"user_id": 7, "film_id": 1, "seconds": 90, "at": 1795348800},
    "bookmarks": {"user_id": 7, "series_id": 3, "added": True},
    "episodes": {"series_id": 3, "serial_name": "Judex", "link": "https://c.example/3"},
    "weekly_reminder": {"event": "send_reminder"},
    "monthly_statistic": {"event": "send_statistic", "month": "2026-10"},
    "activity": {"user_id": 7, "body": "hello"},
    "letters": {"subject": "News", "text": "hello", "body": "", "to": ANN},
    "campaigns": {"campaign_id": "c", "kind": "tip", "cron": "0 18 * * 5"},
    "preferences": {"user_id": 7, "unsubscribe": ["tip"]},
    "clock": {"at": "2026-11-22T12:00:00Z"},
}


def read(topic: str, **changes: Any) -> Any:
    value = {key: item for key, item in (GOOD[topic] | changes).items() if item is not ...}
    return DECODERS[topic](msgspec.json.encode(value))


def test_there_is_a_good_record_of_each_topic_here() -> None:
    assert set(GOOD) == {topic.name for topic in INPUTS}


@pytest.mark.parametrize("topic", GOOD)
def test_a_good_record_can_be_read(topic: str) -> None:
    assert read(topic, event_id=5).event_id == "5"


@pytest.mark.parametrize("topic", GOOD)
@pytest.mark.parametrize("value", [b"", b"hello", b"[]", b"null", b"\xff", b"{"])
def test_what_is_no_object_cannot_be_read(topic: str, value: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        DECODERS[topic](value)


@pytest.mark.parametrize(
    ("topic", "changes", "said"),
    [
        ("users", {"user_id": ...}, "`user_id`"),
        ("users", {"user_id": ""}, "user_id"),
        ("users", {"user_id": "a\nb"}, "user_id"),
        ("users", {"user_id": "x" * 257}, "user_id"),
        ("users", {"user_id": 1.5}, "user_id"),
        ("users", {"email": ...}, "`email`"),
        ("users", {"email": "nobody"}, "email is no e-mail address"),
        ("users", {"email": "a@b.c\r\nBcc: d@e.f"}, "email is no e-mail address"),
        ("users", {"timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus' is not known"),
        ("users", {"quiet_hours": {"from": "25:00", "to": "07:00"}}, "quiet_hours.from"),
        ("users", {"quiet_hours": {"from": "22:00"}}, "`to`"),
        ("users", {"channels": {"tip": ["pigeon"]}}, "pigeon"),
        ("users", {"channels": {"gossip": ["email"]}}, "gossip"),
        ("users", {"created_at": "2026-11-22"}, "created_at has no offset"),
        ("users", {"event_id": [1]}, "event_id"),
        ("films", {"film_id": ...}, "`film_id`"),
        ("films", {"title": ...}, "`title`"),
        ("films", {"rating": 101}, "rating"),
        ("films", {"genres": "drama"}, "genres"),
        ("films", {"released": "soon"}, "released is neither a date nor a year"),
        ("films", {"released": "2026-02-30"}, "released is neither a date nor a year"),
        ("registration", {"event": "send_goodbye"}, "send_goodbye"),
        ("registration", {"event": ...}, "`event`"),
        ("registration", {"email": ...}, "`email`"),
        ("registration", {"username": ...}, "`username`"),
        ("registration", {"email": "a@b\n"}, "email is no e-mail address"),
        ("registration", {"timezone": "CEST"}, "timezone 'CEST' is not known"),
        ("watch_history", {"film_id": ...}, "`film_id`"),
        ("watch_history", {"seconds": -1}, "seconds"),
        ("watch_history", {"seconds": "90"}, "seconds"),
        ("watch_history", {"at": "2026-11-22T12:00:00"}, "at has no offset"),
        ("watch_history", {"at": "yesterday"}, "at is no time"),
        ("bookmarks", {"added": "yes"}, "added"),
        ("bookmarks", {"series_id": ...}, "`series_id`"),
        ("episodes", {"series_id": ...}, "`series_id`"),
        ("episodes", {"link": ...}, "`link`"),
        ("episodes", {"users": [{"name": "Ann"}]}, "users"),
        ("episodes", {"users": [{"name": "Ann", "email": "ann"}]}, "email is no e-mail address"),
        ("weekly_reminder", {"event": ...}, "`event`"),
        ("weekly_reminder", {"users": "7"}, "users"),
        ("monthly_statistic", {"month": "2026-13"}, "month"),
        ("monthly_statistic", {"month": 202610}, "month"),
        ("activity", {"body": ...}, "`body`"),
        ("activity", {"body": None}, "body"),
        ("letters", {"to": []}, "`to` is empty"),
        ("letters", {"to": "ann"}, "to is no e-mail address"),
        ("letters", {"to": [ANN, "b@c\r\n"]}, "to is no e-mail address"),
        ("letters", {"text": ""}, "`text` and `body` are both empty"),
        ("letters", {"subject": ...}, "`subject`"),
        ("campaigns", {"kind": "spam"}, "spam"),
        ("campaigns", {"cron": ...}, "exactly one of `cron`, `at` and `local_at`"),
        ("campaigns", {"at": 1795348800}, "exactly one of `cron`, `at` and `local_at`"),
        ("campaigns", {"cron": "0 25 * * *"}, "'25' is no hour"),
        ("campaigns", {"cron": ..., "local_at": "2026-12-31T20:00Z"}, "without an offset"),
        ("campaigns", {"cron": ..., "local_at": "9999-12-31T20:00"}, "is in the year 9999"),
        ("campaigns", {"audience": "some"}, r"'^all\\Z' - at `$.audience`"),
        ("campaigns", {"audience": {"user": [1]}}, "unknown field `user`"),
        ("campaigns", {"audience": {"locale": "de"}}, "audience.locale 'de' is none of ru, en"),
        (
            "campaigns",
            {"audience": {"timezones": ["UTC", "CEST"]}},
            "timezones[1] 'CEST' is not known",
        ),
        ("campaigns", {"audience": {"idle_days": 0}}, "audience.idle_days"),
        ("campaigns", {"audience": {"watched": {"genre": "drama"}}}, "`days`"),
        ("campaigns", {"audience": {"watched": {"days": 3}}}, "one of `genre` and `series_id`"),
        ("campaigns", {"kind": "activity"}, "`context` wants body"),
        ("campaigns", {"template": "../secrets"}, "template"),
        ("preferences", {"unsubscribe": ["everything"]}, "everything"),
        ("preferences", {"pause_until": "soon"}, "pause_until is no time"),
        ("preferences", {"timezone": "Berlin"}, "timezone 'Berlin' is not known"),
        ("preferences", {"taboo": "yes"}, "taboo"),
        ("clock", {"at": ...}, "`at`"),
        ("clock", {"at": None}, "at"),
    ],
)
def test_each_bad_field_is_named(topic: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        read(topic, **changes)
    assert said in str(error.value)


def test_an_unknown_locale_is_no_mistake() -> None:
    assert read("users", locale="tlh").locale == "tlh"


def test_ids_become_text_wherever_they_stand() -> None:
    assert read("watch_history").people == ("7",)
    assert read("weekly_reminder", users=[1, "1", 2]).people == ("1", "2")
    assert read("campaigns", audience={"users": [1, "1"]}).audience.users == {"1"}


def test_the_three_shapes_of_a_registration() -> None:
    new = read("registration", user_id=9, redirect_url="https://c.example/in")
    assert (new.people, new.name, new.redirect) == (("9",), "Ann", "https://c.example/in")
    old = DECODERS["registration"](
        msgspec.json.encode(
            {"link_out": "https://c.example/out", "link": "ignored", "user": "Ann", "email": ANN}
        )
    )
    assert (old.people, old.name, old.redirect) == (
        (user_of(ANN),),
        "Ann",
        "https://c.example/out",
    )
    assert DECODERS["registration"](b'{"event": "send_greeting"}').people is None


@pytest.mark.parametrize("field", ["username", "user_id", "timezone", "locale", "redirect_url"])
def test_a_greeting_that_lost_its_address_does_not_greet_everyone(field: str) -> None:
    value = {"event": "send_greeting", field: "UTC" if field == "timezone" else "x"}
    with pytest.raises(msgspec.ValidationError, match="`email`"):
        DECODERS["registration"](msgspec.json.encode(value))


def test_a_trigger_without_users_is_for_everyone_and_one_of_no_users_for_no_one() -> None:
    assert read("weekly_reminder").people is None
    assert read("weekly_reminder", users=[]).people == ()
    assert read("episodes").people is None


def test_an_episode_names_each_of_its_recipients_once() -> None:
    event: Episode = read(
        "episodes", users=[{"name": "A", "email": ANN}, {"name": "a", "email": ANN.upper()}]
    )
    assert event.people == (user_of(ANN),)


def test_a_letter_goes_to_each_address_once() -> None:
    event: Letter = read("letters", to=[ANN, BOB, ANN.upper()])
    assert event.people == (user_of(ANN), user_of(BOB))
    assert event.addresses == (ANN.upper(), BOB)


@pytest.mark.parametrize(
    ("released", "day"),
    [
        ("1927-01-10", date(1927, 1, 10)),
        ("1927-01-10T20:00:00Z", date(1927, 1, 10)),
        ("1927-01", None),
        ("1927", None),
        (1927, None),
        (None, None),
    ],
)
def test_a_film_may_be_known_to_the_day_or_to_the_year(
    released: str | int | None, day: date | None
) -> None:
    film: Film = read("films", released=released)
    assert film.release_date == day


def test_preferences_tell_what_was_not_given_from_what_was_taken_back() -> None:
    event: Preferences = read("preferences", locale=None)
    assert event.locale is None
    assert event.timezone is msgspec.UNSET


@pytest.mark.parametrize(
    "when",
    [
        {"cron": "0 18 * * 5"},
        {"cron": ..., "at": "2026-12-31T23:00+01:00"},
        {"cron": ..., "local_at": "2026-12-31T23:00"},
    ],
)
def test_a_campaign_is_the_same_after_it_was_kept(when: dict[str, Any]) -> None:
    audience = {"users": [1, 2], "locale": "ru_RU", "watched": {"series_id": 3, "days": 7}}
    event: Campaign = read("campaigns", audience=audience, context={"a": [1]}, **when)
    assert msgspec.json.decode(msgspec.json.encode(event), type=Campaign) == event


def test_a_registration_made_in_code_is_read_like_any_other() -> None:
    event = Registration(event="send_greeting", email=ANN, username="Ann", user_id="3")
    assert event.people == ("3",)


def test_times_are_aware_and_in_utc() -> None:
    assert read("clock", at="2026-11-22T15:00+03:00").at == datetime(2026, 11, 22, 12, tzinfo=UTC)
