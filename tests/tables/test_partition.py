"""All tables of a partition: one changelog, and indexes that follow from the rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events import Preferences, User, Watch
from streams.jobs import Cause, Job
from streams.ownership import header
from streams.topics import OUTPUT_LIMIT
from tables.deferred import DeferredRow
from tables.films import Films
from tables.groups import GroupRow, Groups
from tables.partition import Tables

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def job(number: int, user_id: str, due: datetime) -> Job:
    return Job(
        job_id=f"{number:032x}",
        user_id=user_id,
        channel="email",
        kind="tip",
        template="tip",
        locale="en",
        timezone="UTC",
        to="a@b.c",
        context={},
        created_at=NOW,
        expires_at=None,
        attempt=0,
        cause=Cause("clock", 0, number),
        not_before=due,
    )


people = st.sampled_from(["zoe", "bob", "eve"])
zones = st.sampled_from(["Asia/Tokyo", "America/Lima", None])
deeds = st.lists(
    st.one_of(
        st.tuples(st.just("user"), people, zones),
        st.tuples(st.just("choose"), people, zones),
        st.tuples(st.just("watch"), people, st.integers(0, 90)),
        st.tuples(st.just("defer"), people, st.integers(0, 5)),
        st.tuples(st.just("gather"), people, st.integers(0, 5)),
        st.tuples(st.just("seen"), people, st.integers(0, 5)),
        st.tuples(st.just("forget"), people, st.none()),
        st.tuples(st.just("merge"), people, st.none()),
    ),
    max_size=25,
)


def do(tables: Tables, deed: str, user_id: str, what: Any, at: datetime) -> None:
    if deed == "user":
        user = User(user_id=user_id, email=f"{user_id}@b.c", timezone=what)
        tables.users.remember(user, at, at)
    elif deed == "choose":
        tables.users.choose(Preferences(user_id=user_id, timezone=what), at, at)
    elif deed == "watch":
        when = NOW - timedelta(days=what)
        tables.watch_history.record(Watch(user_id=user_id, film_id="f", seconds=1.5, at=when))
    elif deed == "defer":
        due = NOW + timedelta(minutes=what)
        tables.deferred[f"{what:032x}"] = DeferredRow(job(what, user_id, due))
    elif deed == "gather":
        key = Groups.key(user_id, "likes")
        known = tables.groups.get(key)
        opened = GroupRow(
            user_id=user_id,
            due=NOW.timestamp() + what,
            cause=Cause("activity", 0, what),
            identity=f"{what}",
            count=1,
            bodies=[user_id],
        )
        tables.groups[key] = opened if known is None else known.joined(user_id)
    elif deed == "seen":
        tables.seen.add("users", user_id, f"e{what}", at)
    elif deed == "forget":
        tables.forget(user_id, "users/0/1", at)
    tables.keep()


def indexes(tables: Tables) -> dict[str, Any]:
    return {
        "known": list(tables.users.known),
        "by_zone": {zone: list(ids) for zone, ids in tables.users.by_zone.items()},
        "months": {month: set(keys) for month, keys in tables.watch_history.by_month.items()},
        "films": {user: tables.watch_history.films(user) for user in ("zoe", "bob", "eve")},
        "due": sorted(tables.deferred.due(NOW + timedelta(days=1), 100)),
        "jobs": {user: set(keys) for user, keys in tables.deferred.by_user.items() if keys},
        "ended": sorted(tables.groups.due(NOW + timedelta(days=1), 100)),
        "windows": {user: set(keys) for user, keys in tables.groups.by_user.items() if keys},
    }


@settings(max_examples=120)
@given(deeds)
def test_what_is_recovered_from_the_changelog_is_what_was_in_memory(
    done: list[tuple[str, str, Any]],
) -> None:
    tables = Tables(Films(), "UTC")
    log: dict[bytes, bytes | None] = {}
    for number, (deed, user_id, what) in enumerate([*done, ("merge", "zoe", None)]):
        do(tables, deed, user_id, what, NOW + timedelta(seconds=number))
        if deed == "merge":
            log.update(tables.changelog())
            tables.merge()
    recovered = Tables(Films(), "UTC")
    for key, value in log.items():
        recovered.load(key, value)
    recovered.ready()
    assert indexes(recovered) == indexes(tables)
    assert recovered.users.rows == tables.users.rows
    assert recovered.seen.rows == tables.seen.rows
    assert recovered.erased.rows == tables.erased.rows
    assert set(recovered.watch_history.rows) == set(tables.watch_history.rows)
    assert recovered.deferred.rows == tables.deferred.rows
    assert recovered.groups.rows == tables.groups.rows


@settings(max_examples=60)
@given(deeds)
def test_nothing_of_an_erased_person_is_left(done: list[tuple[str, str, Any]]) -> None:
    tables = Tables(Films(), "UTC")
    log: dict[bytes, bytes | None] = {}
    for number, (deed, user_id, what) in enumerate([*done, ("forget", "zoe", None)]):
        do(tables, deed, user_id, what, NOW + timedelta(seconds=number))
        if deed == "merge":
            log.update(tables.changelog())
            tables.merge()
    log.update(tables.changelog())
    tables.merge()
    left = {
        key: value for key, value in log.items() if value and (b"zoe" in key or b"zoe" in value)
    }
    # Only that there was somebody, for as long as what was said to them is known by its id.
    at = (NOW + timedelta(seconds=len(done))).timestamp()
    assert left == {b"erased:zoe": msgspec.json.encode({"at": at, "life": "users/0/1"})}


def test_a_person_moves_from_zone_to_zone(tables: Tables) -> None:
    do(tables, "user", "zoe", "Asia/Tokyo", NOW)
    tables.merge()
    version = tables.users.zones_version
    do(tables, "choose", "zoe", "America/Lima", NOW)
    assert set(tables.users.by_zone) == {"Asia/Tokyo"}, "before the acknowledgement nothing moves"
    tables.merge()
    assert set(tables.users.by_zone) == {"America/Lima"}
    assert list(tables.users.known) == ["zoe"]
    assert tables.users.zones_version > version


def test_who_has_no_address_is_not_walked_through(tables: Tables) -> None:
    do(tables, "choose", "zoe", "America/Lima", NOW)
    tables.merge()
    assert list(tables.users.known) == []
    assert tables.users.of("zoe").timezone("UTC") == "America/Lima"


def test_an_unknown_table_in_the_changelog_is_passed_over(tables: Tables) -> None:
    tables.load(b"of a newer version:key", b"{}")
    tables.ready()
    assert list(tables.changelog()) == []


def test_a_batch_of_nothing_writes_nothing(tables: Tables) -> None:
    tables.keep()
    assert list(tables.changelog()) == []
    assert tables.size == 0
    assert not tables.changed_beside("counts")


def test_what_was_weighed_is_what_the_changelog_takes(tables: Tables) -> None:
    for number in range(1000):
        tables.seen.add("activity", f"ü{number}", "e" * 40, NOW)
    tables.keep()
    assert written(tables) <= tables.size < 1.5 * written(tables)
    tables.merge()
    tables.seen.expire(NOW + timedelta(days=8), 1000)
    tables.keep()
    assert len(list(tables.changelog())) == 1000
    assert written(tables) <= tables.size < 1.5 * written(tables)


def written(tables: Tables) -> int:
    """Return the size of the record batch that the changes are written as."""
    builder = BatchBuilder(OUTPUT_LIMIT, 0)
    for key, value in tables.changelog():
        builder.append(timestamp=None, key=key, value=value, headers=header(1 << 60))
    builder.close()
    size: int = builder.size()
    return size
