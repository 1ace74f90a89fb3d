"""What happens to a record between the transport and the log."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest

from streams.decisions import notify
from streams.partitions import partition_of
from tests.streams.world import World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def registration(user_id: str) -> dict[str, str]:
    return {
        "event": "send_greeting",
        "email": f"{user_id}@example.com",
        "username": user_id,
        "user_id": user_id,
    }


def stranger_to(partition: int, partitions: int = 2) -> str:
    """Return a user who does not live in that partition."""
    return next(f"u{n}" for n in range(99) if partition_of(f"u{n}", partitions) != partition)


async def test_a_registration_becomes_one_job_and_is_counted() -> None:
    world = World()
    world.put("registration", registration("ann"))
    await world.run()
    (job,) = world.jobs("outbox_urgent")
    assert (job.kind, job.to, job.channel) == ("welcome", "ann@example.com", "email")
    assert world.outcomes("registration") == {"decided": 1}
    assert world.job_ids() == {"welcome": 1}


async def test_a_record_that_cannot_be_read_goes_to_dead_letters_alone() -> None:
    world = World(partitions=1)
    world.put("registration", registration("ann"))
    world.put("registration", b"{not json")
    world.put("registration", registration("bob"))
    await world.run()
    (letter,) = world.values("dead_letters")
    assert base64.b64decode(letter["value"]) == b"{not json"
    assert (letter["topic"], letter["offset"]) == ("registration", 1)
    assert "DecodeError" in letter["error"]
    assert {job.user_id for job in world.jobs()} == {"ann", "bob"}
    assert world.outcomes("registration") == {"decided": 2, "dead": 1}


async def test_a_decision_that_raises_takes_back_what_it_changed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(partitions=1)

    def broken(user, *rest, **options):  # type: ignore[no-untyped-def]
        if user.user_id == "bob":
            raise RuntimeError("no such thing")
        return notify(user, *rest, **options)

    monkeypatch.setattr("agents.registration.notify", broken)
    for name in ("ann", "bob", "cid"):
        world.put("registration", registration(name))
    await world.run()
    assert {job.user_id for job in world.jobs()} == {"ann", "cid"}
    assert "bob" not in world.tables("bob").users
    assert world.values("dead_letters")[0]["error"] == "RuntimeError: no such thing"


async def test_a_decision_whose_rows_are_too_large_counts_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tables.partition.CHANGES_LIMIT", 2_000)
    world = World(partitions=1)
    world.put("registration", registration("ann"))
    world.put("registration", {**registration("bob"), "username": "b" * 2_000})
    await world.run()
    assert [job.user_id for job in world.jobs()] == ["ann"]
    assert "over the limit of 2000" in world.values("dead_letters")[0]["error"]
    assert world.job_ids() == {"welcome": 1}


async def test_the_same_event_id_again_is_a_duplicate() -> None:
    world = World()
    event = {"user_id": "ann", "film_id": "f", "seconds": 60, "at": "2026-11-20T10:00:00Z"}
    world.put("watch_history", {**event, "event_id": "e1"})
    world.put("watch_history", {**event, "event_id": "e1"})
    world.put("watch_history", {**event, "event_id": "e2"})
    await world.run()
    assert world.outcomes("watch_history") == {"applied": 2, "duplicate": 1}


async def test_an_event_id_is_remembered_for_seven_days() -> None:
    world = World()
    event = {"user_id": "ann", "body": "hello", "event_id": "e1"}
    world.put("activity", event)
    await world.tick(NOON)
    await world.tick(NOON + timedelta(days=6, hours=23))
    world.put("activity", event)
    await world.run()
    assert world.outcomes("activity") == {"decided": 1, "duplicate": 1}
    await world.tick(NOON + timedelta(days=14))
    world.put("activity", event)
    await world.run()
    assert world.outcomes("activity") == {"decided": 2, "duplicate": 1}


async def test_a_dead_letter_that_is_sent_again_keeps_its_identity_and_is_no_duplicate() -> None:
    world = World(partitions=1)
    world.put("activity", {"user_id": "ann", "event_id": "e1"})
    await world.run()
    origin = world.values("dead_letters")[0]["origin"]
    assert origin == "activity/0/0"
    headers = [("cinema-origin", origin.encode())]
    world.put("activity", {"user_id": "ann", "event_id": "e1", "body": "hi"}, headers=headers)
    await world.run()
    assert world.outcomes("activity") == {"dead": 1, "decided": 1}


async def test_a_dead_letter_says_where_it_was_raised_and_keeps_time_key_and_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(partitions=1)

    def broken(*rest, **options):  # type: ignore[no-untyped-def]
        raise KeyError("no such thing")

    monkeypatch.setattr("agents.activity.notify", broken)
    at = NOON - timedelta(days=2)
    value = {"user_id": "ann", "body": "a secret"}
    world.put("activity", value, key="ann", at=at, headers=[("trace", b"\xff1")])
    await world.run()
    (letter,) = world.values("dead_letters")
    assert letter["error"] == "KeyError: 'no such thing'"
    # The test's own module is called like one of ours.
    stack = [frame for frame in letter["stack"] if "test_deciding" not in frame]
    assert stack[0].startswith("agents.activity:") and stack[0].endswith(" tell")
    assert stack[-1].startswith("streams.deciding:") and stack[-1].endswith("._take")
    assert "secret" not in str(letter["stack"])
    assert datetime.fromisoformat(letter["timestamp"]) == at
    assert base64.b64decode(letter["key"]) == b"ann"
    assert base64.b64decode(letter["headers"]["trace"]) == b"\xff1"
    (record,) = world.log.records["dead_letters", 0]
    assert record.key == b"activity/0/0"


def replay(world: World, value: dict[str, object]) -> None:
    """Send what a dead letter was made of again, mended."""
    (letter,) = world.values("dead_letters")
    headers = [("cinema-origin", letter["origin"].encode()), ("cinema-replay", b"0/0")]
    world.put(letter["topic"], value, partition=letter["partition"], headers=headers)


async def test_a_replay_of_what_lay_in_the_wrong_partition_is_sent_on_under_its_first_name() -> (
    None
):
    world = World()
    user = stranger_to(0)
    world.put("activity", {"user_id": user}, partition=0)
    await world.run()
    for _ in range(2):
        replay(world, {"user_id": user, "body": "hi"})
        await world.run()
    copies = world.log.records["activity", partition_of(user, 2)]
    assert [dict(copy.headers) for copy in copies] == [{"cinema-origin": b"activity/0/0"}] * 2
    assert world.outcomes("activity") == {"dead": 1, "forwarded": 2, "decided": 1, "duplicate": 1}


async def test_a_replayed_trigger_reaches_everyone_once() -> None:
    world = World()
    people = [stranger_to(0), stranger_to(1)]
    world.put("films", {"film_id": "f", "title": "F", "url": "https://c.example/f"}, key="f")
    for user in people:
        profile = {"user_id": user, "email": f"{user}@example.com", "username": user}
        world.put("users", profile, key=user)
    await world.run()
    world.put("weekly_reminder", {"event": "send_remainder"}, partition=0)
    await world.run()
    for _ in range(2):
        replay(world, {"event": "send_reminder"})
        await world.run()
    assert world.outcomes("weekly_reminder") == {
        "dead": 1,
        "forwarded": 2,
        "decided": 2,
        "duplicate": 2,
    }
    assert {job.user_id for job in [*world.held(), *world.jobs()]} == {*people}


async def test_a_record_in_the_wrong_partition_is_sent_on_once_with_its_origin_and_time() -> None:
    world = World()
    user = stranger_to(0)
    at = NOON - timedelta(hours=3)
    world.put("registration", registration(user), partition=0, at=at)
    await world.run()
    home = partition_of(user, 2)
    (copy,) = world.log.records["registration", home]
    assert dict(copy.headers)["cinema-origin"] == b"registration/0/0"
    assert copy.timestamp == int(at.timestamp() * 1000)
    assert world.outcomes("registration") == {"forwarded": 1, "decided": 1}
    (job,) = world.jobs()
    assert (job.cause.topic, job.cause.partition, job.cause.offset) == ("registration", 0, 0)


async def test_a_record_that_was_sent_on_and_is_still_wrong_is_a_dead_letter() -> None:
    world = World()
    headers = [("cinema-origin", b"registration/1/7")]
    world.put("registration", registration(stranger_to(0)), partition=0, headers=headers)
    await world.run()
    assert world.values("dead_letters")[0]["error"].startswith("Misplaced")
    assert world.jobs() == []


async def test_a_forwarder_that_died_and_sent_on_twice_leads_to_one_job() -> None:
    world = World()
    user = stranger_to(0)
    origin = [("cinema-origin", b"activity/0/3")]
    for _ in range(2):
        world.put("activity", {"user_id": user, "body": "hi"}, headers=origin)
    await world.run()
    assert world.outcomes("activity") == {"decided": 1, "duplicate": 1}
    assert len(world.jobs()) == 1


async def test_a_copy_of_what_was_applied_where_it_lay_says_nothing_under_another_id() -> None:
    world = World(partitions=1)
    record = world.put("activity", {"user_id": "ann", "body": "hi"})
    named = world.put("activity", {"user_id": "ann", "body": "ho", "event_id": "e"})
    await world.run()
    for one in (record, named):
        origin = f"activity/0/{one.offset}".encode()
        world.put("activity", one.value, headers=[("cinema-origin", origin)])
    await world.run()
    assert len(world.jobs()) == 2
    # The first is decided again (docs/operations.md, "Copies made by hand").
    assert world.outcomes("activity") == {"decided": 3, "duplicate": 1}


async def test_a_record_that_names_people_of_two_partitions_reaches_each_of_them_once() -> None:
    world = World()
    ann, bob = "u0", stranger_to(partition_of("u0", 2))
    for user in (ann, bob):
        world.put("registration", registration(user))
    world.put("films", {"film_id": "f1", "title": "Metropolis", "rating": 8})
    world.put("weekly_reminder", {"event": "send_reminder", "users": [ann, bob]}, partition=0)
    await world.run()
    reminders = [job for job in world.jobs() if job.kind == "weekly_reminder"]
    assert {job.user_id for job in reminders} == {ann, bob}
    assert world.outcomes("weekly_reminder") == {"forwarded": 1, "decided": 2}


async def test_a_trigger_reaches_everyone_in_every_partition_once() -> None:
    world = World(partitions=3)
    for number in range(30):
        world.put("registration", registration(f"u{number}"))
    world.put("films", {"film_id": "f1", "title": "Metropolis", "rating": 8})
    await world.run()
    world.put("weekly_reminder", {"event": "send_reminder"}, partition=1)
    await world.run()
    reminders = [job for job in world.jobs() if job.kind == "weekly_reminder"]
    assert len(reminders) == len({job.user_id for job in reminders}) == 30
    assert world.outcomes("weekly_reminder") == {"forwarded": 1, "decided": 3}


async def test_the_same_trigger_again_does_nothing() -> None:
    world = World()
    world.put("registration", registration("ann"))
    world.put("films", {"film_id": "f1", "title": "Metropolis", "rating": 8})
    trigger = {"event": "send_reminder", "event_id": "t1"}
    world.put("weekly_reminder", trigger, partition=0)
    world.put("weekly_reminder", trigger, partition=0)
    await world.run()
    assert world.outcomes("weekly_reminder") == {"forwarded": 2, "decided": 2, "duplicate": 2}
    assert [job.kind for job in world.jobs("outbox")] == ["weekly_reminder"]


async def test_a_tombstone_of_users_erases_the_person_from_every_table() -> None:
    world = World()
    world.put("registration", registration("ann"))
    watch = {"user_id": "ann", "film_id": "f", "seconds": 60, "at": "2026-11-20T10:00:00Z"}
    world.put("watch_history", {**watch, "event_id": "e1"})
    world.put("bookmarks", {"user_id": "ann", "series_id": "s", "added": True})
    await world.run()
    world.put("users", None, key="ann")
    await world.run()
    tables = world.tables("ann")
    assert "ann" not in tables.users
    assert "ann" not in tables.bookmarks
    assert tables.watch_history.films("ann") == set()
    assert not any(row.user_id == "ann" for row in tables.seen.rows.values())
    assert [value for value in world.values("outbox_urgent") if value["kind"] == "erase"]
    live = {}
    for partition in range(2):
        for record in world.log.records["changelog", partition]:
            live[record.key] = record.value
    kept = b"".join(value for value in live.values() if value)
    assert b"ann@example.com" not in kept


async def test_a_null_value_on_a_topic_that_is_not_compacted_is_a_dead_letter() -> None:
    world = World()
    world.put("activity", None, key="ann")
    await world.run()
    assert "null" in world.values("dead_letters")[0]["error"]


async def test_a_value_over_one_mebibyte_is_a_dead_letter_that_keeps_its_first_mebibyte() -> None:
    world = World()
    world.put("activity", {"user_id": "ann", "body": "x" * (1 << 21)})
    await world.run()
    (letter,) = world.values("dead_letters")
    assert letter["length"] > 1 << 21
    assert len(base64.b64decode(letter["value"])) == 1 << 20
    assert "at most 1048576" in letter["error"]


async def test_a_read_again_record_changes_nothing_and_sends_nothing() -> None:
    world = World()
    world.put("registration", registration("ann"))
    watch = {"user_id": "ann", "film_id": "f", "seconds": 60, "at": "2026-11-20T10:00:00Z"}
    world.put("watch_history", watch)
    await world.run()
    before = {place: len(log) for place, log in world.log.records.items()}
    counts = world.outcomes("watch_history")
    world.committed.clear()
    world.start()
    await world.run()
    sent = {place for place, log in world.log.records.items() if len(log) != before.get(place, 0)}
    assert not sent
    assert world.outcomes("watch_history") == counts


async def test_a_bad_tick_is_a_dead_letter_and_time_never_goes_back() -> None:
    world = World(partitions=1)
    await world.tick(NOON)
    world.put("clock", {"at": "yesterday"})
    world.put("clock", {"at": (NOON - timedelta(hours=5)).isoformat()})
    await world.run()
    assert world.memory.tables(0).counts.book.tick == NOON.timestamp()
    assert len(world.values("dead_letters")) == 1


async def test_on_the_wall_clock_a_tick_over_a_minute_ahead_is_refused() -> None:
    world = World(partitions=1, clock="wall")
    world.put("clock", {"at": (world.now + timedelta(seconds=59)).isoformat()})
    world.put("clock", {"at": (world.now + timedelta(seconds=61)).isoformat()})
    await world.run()
    assert world.outcomes("clock") == {"applied": 1, "dead": 1}


async def test_ticks_that_change_nothing_are_written_once_a_minute() -> None:
    world = World(partitions=1)
    for second in range(180):
        await world.tick(NOON + timedelta(seconds=second))
    written = [record for record in world.log.records["changelog", 0] if record.key == b"counts:"]
    assert 3 <= len(written) <= 4


async def test_ticks_that_were_counted_in_memory_alone_are_counted_once_after_a_kill() -> None:
    world = World(partitions=1)
    for second in range(100):
        await world.tick(NOON + timedelta(seconds=second))
        if second % 30 == 29:
            world.start()
    assert world.outcomes("clock") == {"applied": 100}


async def test_nothing_is_decided_before_the_films_are_known() -> None:
    world, films = World(partitions=1), asyncio.Event()
    world.deciding._films = films
    world.put("registration", registration("ann"))
    running = asyncio.create_task(world.run())
    await asyncio.sleep(0.01)
    assert not await world.deciding.step(0)
    assert world.jobs() == []
    films.set()
    await running
    assert len(world.jobs()) == 1
