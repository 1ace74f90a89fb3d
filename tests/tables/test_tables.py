"""The smaller tables: films, bookmarks, schedules, walks, deferred jobs, identities, counts."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import msgspec
import pytest

from streams.events import Campaign, Film, User, Watch
from streams.jobs import Cause
from tables.deferred import Deferred, DeferredRow
from tables.films import Films
from tables.months import month_before, month_of, months_back, oldest_month
from tables.partition import Tables
from tables.schedules import ScheduleRow
from tables.seen import REMEMBERED
from tables.walks import WalkRow, Walks
from tests.tables.test_partition import NOW, job


def merge(tables: Tables) -> None:
    tables.keep()
    tables.merge()


def film(name: str, rating: float = 5, **more: object) -> Film:
    return msgspec.convert({"film_id": name, "title": name, "rating": rating, **more}, Film)


# -- films


def test_the_younger_record_of_a_film_holds_whatever_partition_it_lies_in() -> None:
    films = Films()
    films.put(film("a", 7), at=10)
    films.put(film("a", 3), at=5)
    assert films.get("a") == film("a", 7)
    films.remove("a", at=7)
    assert films.get("a") is not None
    films.remove("a", at=11)
    films.put(film("a", 9), at=8)
    assert films.get("a") is None
    assert len(films) == 0


def test_films_are_ranked_by_rating_and_then_by_id() -> None:
    films = Films()
    for name, rating in (("b", 5), ("a", 5), ("c", 9)):
        films.put(film(name, rating), at=0)
    assert [one.film_id for one in films.best()] == ["c", "a", "b"]


def test_what_is_worth_watching_follows_the_day_and_the_catalogue() -> None:
    films = Films()
    films.put(film("old", 9, released="2026-01-01"), at=0)
    films.put(film("new", 1, released="2026-11-20"), at=0)
    films.put(film("some year", 2, released=1927), at=0)

    def names(day: date) -> list[tuple[str, bool]]:
        return [(one.film_id, fresh) for one, fresh in films.worth_watching(day)]

    old = [("old", False), ("some year", False)]
    assert names(date(2026, 11, 19)) == old
    assert names(date(2026, 11, 20)) == [("new", True), *old]
    assert names(date(2026, 11, 26)) == [("new", True), *old]
    assert names(date(2026, 11, 27)) == [*old, ("new", False)]
    films.remove("old", at=1)
    assert names(date(2026, 11, 27)) == [("some year", False), ("new", False)]


def test_many_days_do_not_pile_up() -> None:
    films = Films()
    films.put(film("a", released="2026-11-20"), at=0)
    for days in range(100):
        assert len(films.worth_watching(date(2026, 12, 1) + timedelta(days))) == 1


# -- bookmarks


def test_the_younger_bookmark_holds(tables: Tables) -> None:
    assert tables.bookmarks.change("ann", "s1", True, at=10)
    assert not tables.bookmarks.change("ann", "s1", False, at=9)
    assert tables.bookmarks.has("ann", "s1")
    assert tables.bookmarks.change("ann", "s1", False, at=10)
    assert not tables.bookmarks.has("ann", "s1")
    assert not tables.bookmarks.has("bob", "s1")


def test_what_was_taken_off_is_kept_for_as_long_as_the_topic_keeps_what_might_come(
    tables: Tables,
) -> None:
    day = 86_400.0
    tables.bookmarks.change("ann", "on", True, at=0)
    tables.bookmarks.change("ann", "off", False, at=0)
    tables.bookmarks.change("ann", "s1", True, at=30 * day)
    assert not tables.bookmarks.change("ann", "off", True, at=-1)
    tables.bookmarks.change("ann", "s1", True, at=30 * day + 1)
    row = tables.bookmarks.get("ann")
    assert row is not None and set(row.series) == {"on", "s1"}


# -- schedules


def test_every_change_of_a_campaign_raises_the_version(tables: Tables) -> None:
    campaign = Campaign(campaign_id="c", kind="tip", cron="0 18 * * *")
    versions = [tables.schedules.version]
    for _ in range(2):
        tables.schedules["c"] = ScheduleRow(campaign, NOW, 0.0)
        merge(tables)
        versions.append(tables.schedules.version)
    del tables.schedules["c"]
    merge(tables)
    versions.append(tables.schedules.version)
    assert versions == sorted(set(versions))


# -- walks


def walk(**changes: object) -> WalkRow:
    row = WalkRow(
        topic="episodes",
        event=msgspec.Raw(b"{}"),
        cause=Cause("episodes", 0, 1),
        identity="e",
        as_of=NOW,
    )
    return msgspec.structs.replace(row, **changes)


def test_open_walks_take_turns_until_they_are_done(tables: Tables) -> None:
    for name in "abc":
        tables.walks[name] = walk(identity=name)
    merge(tables)
    assert [tables.walks.next() for _ in range(4)] == [["a"], ["b"], ["c"], ["a"]]
    tables.walks["b"] = walk(identity="b", done_at=NOW)
    tables.walks["c"] = walk(identity="c", cursor="ann")
    merge(tables)
    assert [tables.walks.next() for _ in range(3)] == [["c"], ["a"], ["c"]]


def test_who_is_erased_is_gone_from_the_index_of_months_too(tables: Tables) -> None:
    for user in ("zoe", "bob", "eve"):
        tables.watch_history.record(Watch(user_id=user, film_id="f", seconds=1, at=NOW))
    merge(tables)
    # Another one stands behind her in it.
    tables.watch_history.forget("bob")
    merge(tables)
    month = month_of(NOW)
    assert tables.watch_history.by_month == {month: [f"zoe|{month}", f"eve|{month}"]}
    for user in ("zoe", "eve"):
        tables.watch_history.forget(user)
    merge(tables)
    assert tables.watch_history.by_month == {}


def test_a_campaigns_walks_through_its_zones_have_one_turn_together(tables: Tables) -> None:
    for name in ("a@Europe/Berlin", "a@Asia/Tokyo", "b@Asia/Tokyo"):
        tables.walks[name] = walk(campaign=name[0])
    merge(tables)
    assert tables.walks.number_open == 3
    assert tables.walks.next() == ["a@Europe/Berlin", "a@Asia/Tokyo"]
    assert tables.walks.next() == ["b@Asia/Tokyo"]
    tables.walks["a@Europe/Berlin"] = walk(campaign="a", done_at=NOW)
    merge(tables)
    assert tables.walks.next() == ["a@Asia/Tokyo"]


def test_walks_that_ended_are_known_by_when_they_did_until_they_are_forgotten(
    tables: Tables,
) -> None:
    tables.walks["a"] = walk()
    for seconds, name in enumerate("bcd"):
        tables.walks[name] = walk(identity=name, done_at=NOW + timedelta(seconds=seconds))
    merge(tables)
    assert list(tables.walks.ended_before(NOW)) == []
    assert list(tables.walks.ended_before(NOW + timedelta(seconds=2))) == ["b", "c"]
    del tables.walks["b"]
    merge(tables)
    tables.walks.rebuild()
    assert list(tables.walks.ended_before(NOW + timedelta(seconds=2))) == ["c"]


def test_recovered_walks_go_on_where_they_were() -> None:
    walks, again = Walks(), Walks()
    walks["a"] = walk(cursor="ann", event=msgspec.Raw(b'{"link":"l"}'))
    walks["b"] = walk(done_at=NOW)
    walks.keep()
    for key, value in walks.changelog():
        again.load(key, value)
    again.rebuild()
    again.rebuild()
    assert again.next() == ["a"]
    assert again.number_open == 1
    assert again.rows["a"].cursor == "ann"
    assert bytes(again.rows["a"].event) == b'{"link":"l"}'


# -- deferred jobs


def test_jobs_are_due_in_order_and_stay_until_they_are_released(tables: Tables) -> None:
    for number, minutes in ((1, 3), (2, 1), (3, 2)):
        due = NOW + timedelta(minutes=minutes)
        one = job(number, "ann", due)
        tables.deferred[one.job_id] = DeferredRow(one)
    merge(tables)
    deferred = tables.deferred
    assert deferred.due(NOW, 10) == []
    at = NOW + timedelta(minutes=2)
    assert deferred.due(at, 10) == [f"{2:032x}", f"{3:032x}"]
    assert deferred.due(at, 1) == [f"{2:032x}"]
    assert deferred.due(at, 10) == [f"{2:032x}", f"{3:032x}"]
    del deferred[f"{2:032x}"]
    assert deferred.due(at, 10) == [f"{3:032x}"]


def test_a_job_that_was_put_off_is_due_at_the_later_time(tables: Tables) -> None:
    for minutes in (1, 5):
        one = job(1, "ann", NOW + timedelta(minutes=minutes))
        tables.deferred[one.job_id] = DeferredRow(one)
        merge(tables)
    assert tables.deferred.due(NOW + timedelta(minutes=2), 10) == []
    assert len(tables.deferred.due(NOW + timedelta(minutes=5), 10)) == 1


def test_a_release_that_is_undone_leaves_the_job_due() -> None:
    deferred = Deferred()
    one = job(1, "ann", NOW)
    deferred[one.job_id] = DeferredRow(one)
    deferred.keep()
    deferred.merge()
    del deferred[one.job_id]
    assert deferred.due(NOW, 10) == []
    deferred.undo()
    assert deferred.due(NOW, 10) == [one.job_id]


# -- identities


def test_an_identity_is_a_duplicate_for_seven_days_and_then_forgotten(tables: Tables) -> None:
    seen = tables.seen
    seen.add("activity", "ann", "e1", NOW)
    merge(tables)
    almost = NOW + REMEMBERED - timedelta(seconds=1)
    assert seen.has("activity", "ann", "e1", almost)
    assert not seen.has("activity", "bob", "e1", NOW)
    assert not seen.has("letters", "ann", "e1", NOW)
    seen.expire(almost, 10)
    assert not seen.changes
    seen.expire(NOW + REMEMBERED, 10)
    merge(tables)
    assert seen.rows == {}


def test_one_met_again_is_remembered_from_then_on(tables: Tables) -> None:
    seen = tables.seen
    seen.add("activity", "ann", "e1", NOW)
    merge(tables)
    seen.add("activity", "ann", "e1", NOW + timedelta(days=3))
    merge(tables)
    seen.expire(NOW + REMEMBERED, 10)
    merge(tables)
    assert seen.has("activity", "ann", "e1", NOW + REMEMBERED)


def test_a_few_at_a_time_are_forgotten(tables: Tables) -> None:
    for number in range(10):
        tables.seen.add("activity", "ann", f"e{number}", NOW)
    merge(tables)
    tables.seen.expire(NOW + REMEMBERED, 4)
    merge(tables)
    assert len(tables.seen.rows) == 6


def test_what_is_forgotten_by_a_decision_that_raises_is_forgotten_later(tables: Tables) -> None:
    tables.seen.add("activity", "ann", "e1", NOW)
    merge(tables)
    tables.seen.expire(NOW + REMEMBERED, 10)
    tables.undo()
    assert tables.seen.has("activity", "ann", "e1", NOW)
    tables.seen.expire(NOW + REMEMBERED, 10)
    merge(tables)
    assert tables.seen.rows == {}


def test_someone_with_very_many_identities_can_be_erased(tables: Tables) -> None:
    for number in range(60_000):
        tables.seen.add("watch_history", "ann", f"event-{number:010d}", NOW)
    tables.seen.keep()
    tables.seen.merge()
    tables.forget("ann", "users/0/1", NOW)
    merge(tables)
    tables.seen.expire(NOW + REMEMBERED, 60_000)
    assert len(tables.seen.rows) == sum(row is None for row in tables.seen.changes.values())


# -- erasures


def test_a_life_is_told_from_the_one_before_for_sixty_days(tables: Tables) -> None:
    assert tables.users.of("ann").occasion("x") == "x"
    tables.forget("ann", "users/0/7", NOW)
    merge(tables)
    assert tables.users.of("ann").occasion("x") == "x\x1fusers/0/7"
    user = msgspec.convert({"user_id": "ann", "email": "a@b.c"}, User)
    tables.users.remember(user, NOW, NOW)
    tables.erased.expire(NOW + timedelta(days=60), 10)
    merge(tables)
    assert tables.erased.rows == {}
    assert tables.users.of("ann").life == "users/0/7", "for as long as it lasts"


# -- watch history


def watched(tables: Tables, user_id: str, month: str) -> None:
    at = datetime.fromisoformat(f"{month}-15T12:00:00Z")
    tables.watch_history.record(Watch(user_id=user_id, film_id="f", seconds=60, at=at))


def test_months_that_are_not_kept_go_a_few_at_a_time_the_oldest_first(tables: Tables) -> None:
    # Of October 2024 its last day is November in the east: with November it is kept.
    for month in ("2024-08", "2024-09", "2024-10", "2024-11", "2026-11"):
        for number in range(4):
            watched(tables, f"u{number}", month)
    merge(tables)
    history, left = tables.watch_history, []
    for _ in range(4):
        history.expire(NOW, 3)
        # Again before it is merged, as in a batch of ticks.
        history.expire(NOW, 0)
        tables.keep()
        assert len(list(tables.changelog())) <= 3
        tables.merge()
        left.append(sorted({key.rpartition("|")[2] for key in history.rows}))
    assert left[0][0] == "2024-08" and left[1][0] == "2024-09"
    assert left[2] == left[3] == ["2024-10", "2024-11", "2026-11"]
    assert set(history.by_month) == {"2024-10", "2024-11", "2026-11"}


def test_two_ticks_of_one_batch_forget_different_rows_and_a_restart_goes_on(tables: Tables) -> None:
    log: dict[bytes, bytes | None] = {}
    for number in range(10):
        watched(tables, f"u{number}", "2024-01")
    tables.keep()
    log.update(tables.changelog())
    tables.merge()
    for _ in range(2):
        tables.watch_history.expire(NOW, 3)
        tables.keep()
    log.update(tables.changelog())
    assert sum(value is None for value in log.values()) == 6
    recovered = Tables(tables.films, "UTC")
    for key, value in log.items():
        recovered.load(key, value)
    recovered.ready()
    recovered.watch_history.expire(NOW, 100)
    merge(recovered)
    assert recovered.watch_history.rows == {} == recovered.watch_history.by_month


def test_a_watch_is_kept_to_the_second_and_to_the_millisecond_watched(tables: Tables) -> None:
    at = NOW.replace(microsecond=999_999)
    event = Watch(user_id="a|b", film_id="ü", seconds=1234.5678, at=at)
    tables.watch_history.record(event)
    tables.watch_history.record(event)
    merge(tables)
    (key,) = tables.watch_history.rows
    assert key == "a|b|2026-11"
    found = tables.watch_history.since("a|b", NOW, NOW)
    assert found == [("ü", int(NOW.timestamp()), 1234.568)] * 2


@pytest.mark.parametrize("seconds", [0, 0.001, 2_592_000])
def test_the_bounds_of_a_watch_fit(tables: Tables, seconds: float) -> None:
    event = msgspec.convert(
        {"user_id": "a", "film_id": "f", "seconds": seconds, "at": 4_294_967_295}, Watch
    )
    tables.watch_history.record(event)
    tables.keep()
    row = tables.watch_history.get("a|2106-02")
    assert row is not None
    assert tables.watch_history.decode("", tables.watch_history.encode(row)) == row


def test_months_go_back_over_the_year() -> None:
    assert month_before("2026-01") == "2025-12"
    assert list(months_back("2026-02", 3)) == ["2026-02", "2026-01", "2025-12"]
    assert oldest_month("2026-11") == "2024-11"


# -- counts


def test_time_is_written_once_a_minute(tables: Tables) -> None:
    counts = tables.counts
    counts[""] = counts.book.at_tick(NOW.timestamp())
    merge(tables)
    assert counts.is_old(timedelta(minutes=1))
    counts.written()
    counts[""] = counts.book.at_tick(NOW.timestamp() + 59)
    assert not counts.is_old(timedelta(minutes=1))
    counts[""] = counts.book.at_tick(NOW.timestamp() + 60)
    assert counts.is_old(timedelta(minutes=1))
