"""What cannot be used is a dead letter with a clear error, and its neighbours do not notice."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.errors import MessageSizeTooLargeError

from streams.fields import user_of
from tests.integration.cinema import Cinema, Sent, original

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

MIB = 1 << 20

USER = {"user_id": "bad", "email": "bad@example.com", "username": "Bad"}
FILM = {"film_id": "bad", "title": "Bad"}
GREET = {"event": "send_greeting", "email": "bad@example.com", "username": "Bad"}
WATCH = {"user_id": "bad", "film_id": "f", "seconds": 60, "at": "2027-01-01T00:00:00Z"}
MARK = {"user_id": "bad", "series_id": "s", "added": True}
EPISODE = {"series_id": "s", "serial_name": "S", "link": "https://c.example"}
LETTER = {"subject": "S", "text": "T", "to": "bad@example.com"}
CAMPAIGN = {"campaign_id": "bad", "kind": "tip", "cron": "0 9 * * *"}


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the value without a field."""
    return {key: one for key, one in value.items() if key != name}


#: Topic, value, and what the error must name.
BAD: list[tuple[str, Any, str]] = [
    ("users", b"{not json", "malformed"),
    ("users", b"[]", "Expected `object`"),
    ("users", b'{"user_id": "\xff"}', "utf-8"),
    ("users", without(USER, "email"), "`email`"),
    ("users", without(USER, "user_id"), "`user_id`"),
    ("users", USER | {"user_id": ""}, "user_id"),
    ("users", USER | {"user_id": True}, "user_id"),
    ("users", USER | {"email": "no at sign"}, "email"),
    ("users", USER | {"email": "a@b.example\r\nBcc: x@y.example"}, "email"),
    ("users", USER | {"timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ("users", USER | {"quiet_hours": {"from": "25:00", "to": "08:00"}}, "quiet_hours"),
    ("users", USER | {"channels": {"episode": ["pigeon"]}}, "channels"),
    ("users", USER | {"channels": {"spam": ["email"]}}, "channels"),
    ("users", USER | {"created_at": "yesterday"}, "created_at"),
    ("films", without(FILM, "title"), "`title`"),
    ("films", FILM | {"genres": "noir"}, "genres"),
    ("films", FILM | {"rating": "ten"}, "rating"),
    ("films", FILM | {"rating": 1000}, "rating"),
    ("films", FILM | {"released": "1927-13-01"}, "released"),
    ("registration", {"event": "send_gretting"}, "send_gretting"),
    ("registration", GREET | {"email": "a b@example.com"}, "email"),
    ("registration", without(GREET, "email"), "email"),
    ("registration", without(GREET, "username"), "username"),
    ("registration", {"link": "https://c.example", "user": "Bad"}, "email"),
    ("registration", GREET | {"timezone": "Nowhere"}, "Nowhere"),
    ("watch_history", without(WATCH, "film_id"), "film_id"),
    ("watch_history", WATCH | {"seconds": -1}, "seconds"),
    ("watch_history", WATCH | {"seconds": "60"}, "seconds"),
    ("watch_history", WATCH | {"at": "2027-01-01T00:00:00"}, "offset"),
    ("watch_history", WATCH | {"at": "2099-01-01T00:00:00Z"}, "ahead"),
    ("bookmarks", without(MARK, "added"), "added"),
    ("bookmarks", MARK | {"added": "yes"}, "added"),
    ("episodes", without(EPISODE, "series_id"), "series_id"),
    ("episodes", without(EPISODE, "link"), "link"),
    ("episodes", EPISODE | {"users": [{"name": "X", "email": "x"}]}, "email"),
    ("weekly_reminder", {"event": "send_statistic"}, "send_statistic"),
    ("weekly_reminder", {}, "event"),
    ("weekly_reminder", {"event": "send_reminder", "users": "all"}, "users"),
    ("monthly_statistic", {"event": "send_statistic", "month": "2026-13"}, "month"),
    ("monthly_statistic", {"event": "send_statistic", "month": "2026-01\n"}, "month"),
    ("activity", {"user_id": "bad"}, "body"),
    ("activity", {"user_id": "bad", "body": 7}, "body"),
    ("letters", without(LETTER, "text"), "text"),
    ("letters", LETTER | {"to": []}, "to"),
    ("letters", LETTER | {"to": ["a@b.example", "no address"]}, "to"),
    ("letters", LETTER | {"to": "a@b.example\nBcc: x@y.example"}, "to"),
    ("campaigns", without(CAMPAIGN, "cron"), "cron"),
    ("campaigns", CAMPAIGN | {"cron": "0 25 * * *"}, "hour"),
    ("campaigns", CAMPAIGN | {"kind": "spam"}, "kind"),
    ("campaigns", CAMPAIGN | {"audience": {"watched": {"days": 3}}}, "watched"),
    ("campaigns", CAMPAIGN | {"audience": {"zodiac": "leo"}}, "zodiac"),
    ("campaigns", CAMPAIGN | {"template": "../secrets"}, "template"),
    ("preferences", {"user_id": "bad", "unsubscribe": ["spam"]}, "unsubscribe"),
    ("preferences", {"user_id": "bad", "timezone": "Moon"}, "Moon"),
    ("preferences", {"user_id": "bad", "taboo": "yes"}, "taboo"),
    ("preferences", {"locale": "ru"}, "user_id"),
    ("clock", {"at": "noon"}, "noon"),
    ("clock", b"", "truncated"),
    # A null is a tombstone on a compacted topic only.
    *((topic, None, "tombstone") for topic in ("registration", "watch_history", "activity")),
]


def named(case: tuple[str, Any, str]) -> str:
    """Return how a case is called."""
    return f"{case[0]}-{str(case[1])[:40]}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def refused(cinema: Cinema) -> AsyncIterator[tuple[list[Sent], list[str]]]:
    """Send every bad record, each between two good ones, and wait."""
    await cinema.settle()
    sent, good = [], []
    for topic, value, _ in BAD:
        for _ in range(2):
            user = cinema.name()
            good.append(user)
            await cinema.send("activity", {"user_id": user, "body": topic}, "bad")
        sent.append(await cinema.send(topic, value, "bad"))
    await cinema.settle()
    yield sent, good


@pytest.mark.parametrize("number", range(len(BAD)), ids=[named(case) for case in BAD])
async def test_a_bad_record_is_a_dead_letter_that_says_what_is_wrong(
    cinema: Cinema, refused: tuple[list[Sent], list[str]], number: int
) -> None:
    _, value, says = BAD[number]
    letter = cinema.letter(refused[0][number])
    assert says in letter["error"]
    assert "Error" in letter["error"] or "InvalidRecord" in letter["error"]
    if isinstance(value, bytes):
        assert original(letter) == value
        assert letter["length"] == len(value)
        assert letter["sha256"] == hashlib.sha256(value).hexdigest()
    if value is None:
        assert letter["value"] is None


async def test_the_neighbours_of_bad_records_do_not_notice(
    cinema: Cinema, refused: tuple[list[Sent], list[str]]
) -> None:
    for user in refused[1]:
        assert [job["channel"] for job in cinema.jobs(user)] == ["websocket"]
        assert [status for status, _ in cinema.deliveries(user)] == ["sent"]


async def test_an_unknown_topic_is_refused_at_the_door(cinema: Cinema) -> None:
    headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    body = '{"records": [{"value": {"user_id": "x", "body": "y"}}]}'
    for topic, status in (("horoscopes", 404), ("outbox", 404), ("activity", 200)):
        url = f"{cinema.streams}/topics/{topic}"
        async with cinema.http.post(url, data=body, headers=headers) as response:
            assert response.status == status, topic
    await cinema.settle()


async def test_a_value_of_just_under_a_mebibyte_is_delivered_and_one_over_is_dead(
    cinema: Cinema,
) -> None:
    fits, over = cinema.name(), cinema.name()
    sent = []
    for user, size in ((fits, MIB - 200), (over, MIB)):
        value = {"user_id": user, "body": "ж" * (size // 2)}
        sent.append(await cinema.send("activity", value, user))
    await cinema.settle()
    assert not cinema.is_dead(sent[0]) and cinema.is_dead(sent[1])
    assert [status for status, _ in cinema.deliveries(fits)] == ["sent"]
    letter = cinema.letter(sent[1])
    assert str(MIB) in letter["error"] and letter["length"] > MIB
    assert len(original(letter)) == MIB
    async with cinema.http.ws_connect(f"{cinema.sender}/ws", max_msg_size=0) as socket:
        await socket.send_json({"token": cinema.token(fits), "last_id": 0})
        assert (await socket.receive_json(timeout=5))["unread"] == 1
        assert len((await socket.receive_json(timeout=5))["body"]) == (MIB - 200) // 2


async def test_three_mebibytes_are_refused_by_topic_or_become_a_dead_letter(
    cinema: Cinema,
) -> None:
    user = cinema.name()
    try:
        sent = await cinema.send("activity", {"user_id": user, "body": "x" * 3 * MIB}, user)
    except MessageSizeTooLargeError:
        return
    await cinema.settle()
    assert str(MIB) in cinema.error(sent)
    assert cinema.jobs(user) == []


async def test_a_letter_of_nearly_a_mebibyte_comes_whole(cinema: Cinema) -> None:
    address = f"{cinema.name()}@example.com"
    text = "Zeile mit Umlauten: äöü\n" * 36_000
    await cinema.send("letters", {"subject": "Long", "text": text, "to": address})
    await cinema.settle()
    (mail,) = await cinema.mails(address)
    assert mail.text.count("Zeile mit Umlauten: äöü") == 36_000


async def test_a_template_that_raises_fails_its_job_with_the_reason_and_nothing_else(
    cinema: Cinema,
) -> None:
    broken, missing, fine = [await cinema.person() for _ in range(3)]
    for user, template in ((broken, "statistics"), (missing, "no_such_template"), (fine, None)):
        name = cinema.name("campaign")
        campaign = {
            "campaign_id": name,
            "kind": "activity",
            "at": cinema.now.timestamp() + 60,
            "audience": {"users": [user]},
            "context": {"body": "x"},
            "template": template,
        }
        await cinema.send("campaigns", campaign, name)
        await cinema.send(
            "preferences", {"user_id": user, "channels": {"activity": ["email"]}}, user
        )
    await cinema.advance(minutes=2)
    for user in (broken, missing):
        ((status, reason),) = cinema.deliveries(user)
        assert status == "failed" and reason.startswith("template: ")
    assert "no_such_template" in cinema.deliveries(missing)[0][1]
    assert [status for status, _ in cinema.deliveries(fine)] == ["sent"]


async def test_a_record_that_changes_more_than_its_changelog_takes_is_dead_and_not_the_worker(
    cinema: Cinema,
) -> None:
    user = cinema.name()
    pids = cinema.up.pids["streams"]
    sent = []
    for kind in ("episode", "tip", "letter", "activity", "welcome", "weekly_reminder"):
        value = {"user_id": user, "channels": {kind: ["email"] * 100_000}}
        sent.append(await cinema.send("preferences", value, user))
    await cinema.settle()
    assert cinema.up.pids["streams"] == pids
    dead = [one for one in sent if cinema.is_dead(one)]
    assert dead and all("over the limit" in cinema.error(one) for one in dead)
    await cinema.send("activity", {"user_id": user, "body": "still here"}, user)
    await cinema.settle()
    assert len(cinema.log.deliveries[user]) == 1


async def test_a_job_too_large_for_its_topic_is_a_dead_letter_or_a_skip_with_the_reason(
    cinema: Cinema,
) -> None:
    await cinema.to_daytime()
    named, walked = await cinema.person(), await cinema.person()
    pids = cinema.up.pids["streams"]
    films = [await cinema.film(title="T" * 500_000, rating=100) for _ in range(10)]
    await cinema.settle()
    trigger = {"event": "send_reminder", "users": [named]}
    sent = await cinema.send("weekly_reminder", trigger, partition=cinema.home(named))
    await cinema.send("weekly_reminder", {"event": "send_reminder"})
    await cinema.settle()
    assert cinema.up.pids["streams"] == pids
    assert "TooLarge" in cinema.error(sent) and "outbox" in cinema.error(sent)
    assert cinema.deliveries(walked) == [("skipped", "error: TooLarge")]
    for film in films:
        await cinema.send("films", None, film)
    await cinema.film()
    await cinema.settle()
    await cinema.send("weekly_reminder", trigger)
    await cinema.settle()
    assert len(cinema.jobs(named, "weekly_reminder")) == 1


async def test_a_campaign_of_nearly_a_mebibyte_fires_in_many_zones_at_once(cinema: Cinema) -> None:
    pids, name = cinema.up.pids["streams"], cinema.name("campaign")
    zones = ("Asia/Tokyo", "Europe/Paris", "Africa/Cairo", "America/Lima", "Asia/Kolkata", "UTC")
    # All in one partition.
    people: list[str] = []
    while len(people) < len(zones):
        user = cinema.name()
        if not people or cinema.home(user) == cinema.home(people[0]):
            await cinema.person(user_id=user, timezone=zones[len(people)])
            people.append(user)
    campaign = {
        "campaign_id": name,
        "kind": "activity",
        "at": cinema.now.timestamp() + 60,
        "audience": {"users": people},
        "context": {"body": "x" * 900_000},
    }
    await cinema.send("campaigns", campaign, name)
    await cinema.advance(minutes=2)
    assert cinema.up.pids["streams"] == pids
    for user in people:
        assert [status for status, _ in cinema.deliveries(user)] == ["sent"], user
    await cinema.send("campaigns", None, name)
    await cinema.settle()


async def test_a_forwarded_record_that_is_still_in_the_wrong_place_is_dead(cinema: Cinema) -> None:
    user = cinema.name()
    wrong = (cinema.home(user) + 1) % cinema.partitions
    value = {"user_id": user, "body": "lost"}
    headers = {"cinema-origin": "activity/0/99999999"}
    sent = await cinema.send("activity", value, user, partition=wrong, headers=headers)
    forged = await cinema.send("activity", value, user, headers={"cinema-origin": "nonsense"})
    await cinema.settle()
    assert "Misplaced" in cinema.error(sent)
    assert "cinema-origin" in cinema.error(forged)
    assert cinema.jobs(user) == []


async def test_a_record_in_the_wrong_partition_is_sent_on_once(cinema: Cinema) -> None:
    users = [cinema.name() for _ in range(8)]
    before = (await cinema.settle()).total("cinema_records", topic="activity", outcome="forwarded")
    for user in users:
        wrong = (cinema.home(user) + 1) % cinema.partitions
        await cinema.send("activity", {"user_id": user, "body": "b"}, user, partition=wrong)
    found = await cinema.settle()
    assert found.total("cinema_records", topic="activity", outcome="forwarded") == before + 8
    for user in users:
        ((status, _),) = cinema.deliveries(user)
        assert status == "sent"


async def test_a_letter_to_people_of_many_partitions_reaches_each_once(cinema: Cinema) -> None:
    to = [f"{cinema.name()}@example.com" for _ in range(12)]
    assert len({cinema.home(user_of(address)) for address in to}) > 1
    await cinema.send("letters", {"subject": "All", "text": "of you", "to": to})
    await cinema.settle()
    for address in to:
        assert len(await cinema.mails(address)) == 1
