"""The zone history: whatever order the records come in, the past is the same."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tables.zones import (
    CHOICE,
    ENTRIES,
    PROFILE,
    REGISTRATION,
    Entry,
    add,
    spans,
    zone_at,
    zone_now,
)

NAMES = ["Europe/Berlin", "Asia/Tokyo", "America/Lima", None]
entries = st.tuples(
    st.integers(0, 30).map(lambda day: day * 86_400.0),
    st.sampled_from([REGISTRATION, PROFILE, CHOICE]),
    st.sampled_from(NAMES),
)


def history_of(said: list[Entry]) -> list[Entry]:
    history: list[Entry] = []
    for at, source, zone in said:
        history = add(history, at, source, zone)
    return history


def from_scratch(said: list[Entry], at: float, default: str) -> str:
    """Return the zone by looking at all that was ever said."""

    def held_at(when: float) -> str | None:
        for source in (CHOICE, PROFILE, REGISTRATION):
            last = max((e for e in said if e[1] == source and e[0] <= when), default=None)
            if last is not None and last[2] is not None:
                return last[2]
        return None

    times = sorted({entry[0] for entry in said})
    first = next((time for time in times if held_at(time) is not None), None)
    if first is None:
        return default
    index = bisect_right(times, at) - 1
    return held_at(times[index] if index >= 0 and times[index] >= first else first) or default


@given(st.lists(entries, max_size=ENTRIES, unique_by=lambda entry: entry[:2]), st.data())
def test_any_order_with_repeats_gives_the_zones_computed_from_scratch(
    said: list[Entry], data: st.DataObject
) -> None:
    order = data.draw(st.permutations([*said, *said]))
    history = history_of(order)
    for day in range(-1, 32):
        at = day * 86_400.0 + 0.5
        assert zone_at(history, at, "UTC") == from_scratch(said, at, "UTC")
    assert zone_now(history, "UTC") == from_scratch(said, 1e12, "UTC")


@given(st.lists(entries, max_size=ENTRIES, unique_by=lambda entry: entry[:2]))
def test_spans_begin_at_the_beginning_and_each_differs_from_the_one_before(
    said: list[Entry],
) -> None:
    found = list(spans(history_of(said), "UTC"))
    assert found[0][0] == float("-inf")
    times = [since for since, _ in found]
    assert times == sorted(set(times))
    assert all(one[1] != two[1] for one, two in pairwise(found))


def test_what_the_person_chose_wins_over_the_profile_until_it_is_taken_back() -> None:
    history = history_of(
        [(0.0, PROFILE, "Asia/Tokyo"), (10.0, CHOICE, "America/Lima"), (20.0, CHOICE, None)]
    )
    assert [zone_at(history, at, "UTC") for at in (5.0, 15.0, 25.0)] == [
        "Asia/Tokyo",
        "America/Lima",
        "Asia/Tokyo",
    ]


def test_the_first_known_zone_holds_backwards() -> None:
    assert zone_at([(100.0, PROFILE, "Asia/Tokyo")], 1.0, "UTC") == "Asia/Tokyo"


def test_nobody_who_said_nothing_is_anywhere_but_in_the_default_zone() -> None:
    assert zone_now([], "Europe/Berlin") == "Europe/Berlin"
    assert zone_now([(1.0, PROFILE, None)], "Europe/Berlin") == "Europe/Berlin"


def test_of_two_at_the_same_millisecond_the_later_in_the_log_holds() -> None:
    history = history_of([(1.0, PROFILE, "Asia/Tokyo"), (1.0, PROFILE, "America/Lima")])
    assert zone_now(history, "UTC") == "America/Lima"
    assert zone_at(history, 0.0, "UTC") == "America/Lima"


def test_a_profile_sent_every_night_does_not_grow_without_end() -> None:
    history: list[Entry] = []
    for night in range(700):
        zone = "Asia/Tokyo" if night < 300 else "America/Lima"
        history = add(history, night * 86_400.0, PROFILE, zone)
    assert len(history) <= ENTRIES
    assert zone_at(history, 299.5 * 86_400.0, "UTC") == "Asia/Tokyo"
    assert zone_at(history, 300.5 * 86_400.0, "UTC") == "America/Lima"


@given(st.lists(entries, max_size=ENTRIES, unique_by=lambda entry: entry[:2]), st.data())
def test_what_was_said_before_a_time_is_pruned_without_changing_any_time_after_it(
    said: list[Entry], data: st.DataObject
) -> None:
    since = data.draw(st.integers(0, 31)) * 86_400.0
    history: list[Entry] = []
    for at, source, zone in said:
        history = add(history, at, source, zone, since)
    assert sum(at < since for at, _, _ in history) <= 4
    whole = sorted(said, key=lambda entry: entry[:2])
    for day in range(32):
        at = day * 86_400.0 + 0.5
        if at >= since:
            assert zone_at(history, at, "UTC") == zone_at(whole, at, "UTC")
