"""Dead letters looked at and replayed by command: one mail each, however often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.integration.cinema import MIB, Cinema, Sent
from tests.integration.commands import Commands

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

LETTERS = ("streams", "dead-letters")


def place(sent: Sent) -> str:
    return "/".join(map(str, sent))


class Broken:
    """Reminders that died: five megabytes of films fit into no job. The films are gone since."""

    def __init__(self) -> None:
        self.people: dict[str, Sent] = {}
        self.old: tuple[str, Sent]
        self.since: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken(cinema: Cinema) -> AsyncIterator[Broken]:
    broken = Broken()
    await cinema.advance(minutes=1)
    await cinema.to_daytime()
    broken.since = cinema.now.isoformat()
    people = [await cinema.person() for _ in range(4)]
    films = [await cinema.film(title="T" * 500_000, rating=100) for _ in range(10)]
    await cinema.settle()
    for number, user in enumerate(people):
        trigger = {"event": "send_reminder", "users": [user]}
        at = datetime.now(UTC) - timedelta(days=40) if number == 0 else None
        partition = cinema.home(user)
        sent = await cinema.send("weekly_reminder", trigger, partition=partition, at=at)
        if number == 0:
            broken.old = user, sent
        else:
            broken.people[user] = sent
    await cinema.settle()
    for sent in [broken.old[1], *broken.people.values()]:
        assert "TooLarge" in cinema.error(sent)
    for film in films:
        await cinema.send("films", None, film)
    await cinema.film()
    await cinema.settle()
    yield broken


async def mails(cinema: Cinema, user: str) -> int:
    await cinema.settle()
    return len(await cinema.mails(f"{user}@example.com"))


async def test_a_list_has_each_letter_and_counts_by_topic_and_error(
    broken: Broken, commands: Commands
) -> None:
    words = ("--topic", "weekly_reminder", "--error", "toolarge", "--since", broken.since)
    ran = await commands(*LETTERS, "list", *words)
    assert ran.status == 0 and not ran.errors
    for sent in [broken.old[1], *broken.people.values()]:
        (line,) = (line for line in ran.lines if f" {place(sent)} " in line)
        assert "waiting" in line and "TooLarge: " in line
    assert ran.lines[-1].split() == ["weekly_reminder", "TooLarge", "4", "waiting", "0", "replayed"]
    later = await commands(*LETTERS, "list", "--since", "2099-01-01")
    assert later.lines == ["no dead letters"]


async def test_one_letter_is_shown_with_value_and_stack(broken: Broken, commands: Commands) -> None:
    user, sent = next(iter(broken.people.items()))
    ran = await commands(*LETTERS, "show", place(sent))
    assert ran.status == 0
    assert f'{{"event":"send_reminder","users":["{user}"]}}' in ran.out
    assert any(line.strip().startswith("streams.outgoing:") for line in ran.lines)
    assert "error      TooLarge" in ran.out
    missing = await commands(*LETTERS, "show", "activity/0/88888888")
    assert missing.status == 2
    assert missing.errors.count("\n") == 1 and "activity/0/88888888" in missing.errors


async def test_what_is_replayed_leads_to_one_mail_however_often(
    cinema: Cinema, broken: Broken, commands: Commands
) -> None:
    user, sent = next(iter(broken.people.items()))
    ran = await commands(*LETTERS, "replay", place(sent))
    assert (ran.status, ran.out) == (0, "1 replayed, 0 replayed before, 0 refused\n"), ran.errors
    assert await mails(cinema, user) == 1
    again = await commands(*LETTERS, "replay", place(sent))
    assert again.status == 1 and "it was replayed before" in again.errors
    forced = await commands(*LETTERS, "replay", place(sent), "--force")
    assert (forced.status, forced.out) == (0, "1 replayed, 0 replayed before, 0 refused\n")
    found = await cinema.settle()
    assert found.total("cinema_records", topic="weekly_reminder", outcome="duplicate") >= 1
    assert await mails(cinema, user) == 1


async def test_all_that_wait_are_replayed_at_once_and_those_too_old_are_named(
    cinema: Cinema, broken: Broken, commands: Commands
) -> None:
    words = ("--all", "--topic", "weekly_reminder", "--since", broken.since)
    ran = await commands(*LETTERS, "replay", *words)
    assert (ran.status, ran.out) == (1, "2 replayed, 1 replayed before, 1 refused\n")
    old, sent = broken.old
    assert place(sent) in ran.errors and "30 days" in ran.errors
    assert [await mails(cinema, user) for user in broken.people] == [1, 1, 1]
    assert await mails(cinema, old) == 0
    again = await commands(*LETTERS, "replay", *words)
    assert (again.status, again.out) == (1, "0 replayed, 3 replayed before, 1 refused\n")


async def test_what_is_too_old_is_replayed_when_it_is_forced(
    cinema: Cinema, broken: Broken, commands: Commands
) -> None:
    old, sent = broken.old
    ran = await commands(*LETTERS, "replay", place(sent), "--force")
    assert (ran.status, ran.out) == (0, "1 replayed, 0 replayed before, 0 refused\n")
    assert await mails(cinema, old) == 1
    (replayed,) = (one for one in cinema.jobs(old) if one["kind"] == "weekly_reminder")
    assert replayed["cause"] == {
        "topic": "weekly_reminder",
        "partition": sent.partition,
        "offset": sent.offset,
    }


async def test_a_letter_that_was_cut_is_refused_by_name(cinema: Cinema, commands: Commands) -> None:
    user = cinema.name()
    sent = await cinema.send("activity", {"user_id": user, "body": "x" * MIB}, user)
    await cinema.settle()
    ran = await commands(*LETTERS, "replay", place(sent), "--force")
    assert (ran.status, ran.out) == (1, "0 replayed, 0 replayed before, 1 refused\n")
    assert place(sent) in ran.errors and "cut" in ran.errors
    shown = await commands(*LETTERS, "show", place(sent))
    assert "of which the letter holds 1 MiB" in shown.out


async def test_an_older_record_does_not_go_over_a_newer_one_of_its_key(
    cinema: Cinema, commands: Commands
) -> None:
    film = cinema.name("film")
    bad = await cinema.send("films", {"film_id": film}, film)
    await cinema.film(film_id=film)
    await cinema.settle()
    ran = await commands(*LETTERS, "replay", place(bad))
    assert ran.status == 1 and "newer record of the same key" in ran.errors


async def test_a_replay_that_fails_again_is_a_letter_of_its_own_with_its_first_identity(
    cinema: Cinema, commands: Commands
) -> None:
    user = cinema.name()
    wrong = (cinema.home(user) + 1) % cinema.partitions
    value = b'{"user_id": "%s"}' % user.encode()
    sent = await cinema.send("activity", value, user, partition=wrong)
    await cinema.settle()
    identity = place(sent)
    for _ in range(2):
        letters = [one for one in cinema.log.letters.values() if one["origin"] == identity]
        newest = max(letters, key=lambda one: one["offset"])
        name = f"activity/{newest['partition']}/{newest['offset']}"
        ran = await commands(*LETTERS, "replay", name)
        assert ran.status == 0, ran.errors
        await cinema.settle()
    assert sum(one["origin"] == identity for one in cinema.log.letters.values()) == 3


async def test_wrong_words_are_one_line(commands: Commands) -> None:
    neither = await commands(*LETTERS, "replay")
    assert neither.status == 2 and "--all" in neither.errors.splitlines()[-1]
    nonsense = await commands(*LETTERS, "replay", "everything")
    assert nonsense.status == 2 and "'everything' names no dead letter" in nonsense.errors
    away = await commands(*LETTERS, "list", BROKER="kafka://127.0.0.1:9")
    assert away.status == 75 and away.errors.count("\n") == 1
