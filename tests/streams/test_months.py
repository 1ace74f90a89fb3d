"""Months after any order, repeats, replays and restarts: those computed from all that was said."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.statistics import month_report
from tests.streams.world import World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = datetime(2026, 8, 30, tzinfo=UTC)
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")
GENRES = {"f0": ["drama"], "f1": ["comedy", "drama"], "f2": ["western"]}
ZONES = ["Europe/Berlin", "Asia/Tokyo", "America/Lima", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
# What one says of a zone wins over what those after it do.
SOURCES = ("preferences", "users", "registration")


class Said(NamedTuple):
    """One record about Ann: a watch of a film, or a word on her zone; `name` is its event_id."""

    topic: str
    at: datetime
    what: str | None
    seconds: float = 0.0
    name: str | None = None
    misplaced: bool = False

    @property
    def value(self) -> dict[str, Any]:
        named = {"user_id": "ann"} | ({"event_id": self.name} if self.name else {})
        if self.topic == "watch_history":
            watch = {"film_id": self.what, "seconds": self.seconds, "at": self.at.isoformat()}
            return named | watch
        if self.topic == "preferences":
            return named | {"timezone": self.what}
        profile = named | {"email": "a@b.c", "username": "Ann", "timezone": self.what}
        return profile | ({"event": "send_greeting"} if self.topic == "registration" else {})


hours = st.integers(0, 24 * 70).map(lambda number: START + timedelta(hours=number))
watches = st.builds(
    Said,
    st.just("watch_history"),
    hours,
    st.sampled_from([*GENRES, "never heard of"]),
    st.sampled_from([0.1, 0.2, 0.3, 3600.0, 1234.5]),
    st.none(),
    st.booleans(),
)
moves = st.builds(
    Said,
    st.sampled_from(SOURCES),
    hours,
    st.sampled_from([*ZONES, None]),
    st.just(0.0),
    st.none(),
    st.booleans(),
)


@st.composite
def stories(draw: st.DrawFn) -> list[list[Said | str]]:
    """Records in any order, the named ones repeated, reports between; cut where a worker ends."""
    told: list[Said] = draw(st.lists(st.one_of(watches, watches, moves), max_size=14))
    # Two words of one source at one time have no order of their own.
    words = {(one.topic, one.at): one for one in told if one.topic != "watch_history"}
    told = [*(one for one in told if one.topic == "watch_history"), *words.values()]
    named = [one._replace(name=f"e{number}") for number, one in enumerate(told) if number % 2]
    told = [one for number, one in enumerate(told) if not number % 2]
    again = draw(st.lists(st.sampled_from(named), max_size=6)) if named else []
    reports = draw(st.lists(st.sampled_from(MONTHS), max_size=3))
    every: list[Said | str] = [*told, *named, *again, *reports]
    order = draw(st.permutations(every))
    cuts = sorted(draw(st.sets(st.integers(0, len(order)), max_size=3)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


# -- the model: all that was said, looked through for each question


def zone_of(said: Sequence[Said], at: datetime) -> str:
    """Return the zone at a time; the first that was known holds for all time before it."""

    def then(moment: datetime) -> str | None:
        for source in SOURCES:
            words = [one for one in said if one.topic == source and one.at <= moment]
            if source == "registration":
                # It says nothing where it names no zone; the others say that there is none.
                words = [one for one in words if one.what is not None]
            if words and (last := max(words, key=lambda one: one.at)).what is not None:
                return last.what
        return None

    heard = sorted({one.at for one in said if one.topic != "watch_history"})
    known = [moment for moment in heard if then(moment)]
    return (then(max(at, known[0])) or "UTC") if known else "UTC"


def month_in(said: Sequence[Said], at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(zone_of(said, at))):%Y-%m}"


def from_scratch(said: Sequence[Said], month: str) -> tuple[Any, ...]:
    """Return films, seconds, genres and the longest run of days of a month."""
    mine = [one for one in said if one.topic == "watch_history" and month_in(said, one.at) == month]
    films = {one.what for one in mine}
    genres = Counter(genre for film in films for genre in GENRES.get(film or "", ()))
    tenths = sum(round(one.seconds * 10) for one in mine)
    days = {one.at.astimezone(ZoneInfo(zone_of(said, one.at))).date() for one in mine}
    runs = [
        length
        for first in days
        for length in range(1, len(days) + 1)
        if {first + timedelta(days=number) for number in range(length)} <= days
    ]
    return len(films), round(tenths / 10), dict(genres), max(runs, default=0)


def in_order(story: list[list[Said | str]]) -> tuple[list[Said], Counter[str]]:
    """Return what was said, the same name once, and how many watches came after their report."""
    said: list[Said] = []
    reported: set[str] = set()
    late: Counter[str] = Counter()
    for one in (one for part in story for one in part):
        if isinstance(one, str):
            if from_scratch(said, one)[0] and any(w.topic in SOURCES[1:] for w in said):
                reported.add(one)
        elif one.name is None or one.name not in {other.name for other in said}:
            said.append(one)
            if one.topic == "watch_history" and month_in(said, one.at) in reported:
                late[month_in(said, one.at)] += 1
    return said, late


# -- the same through the boundary


def put(world: World, one: Said | str, home: int) -> None:
    if isinstance(one, str):
        trigger = {"event": "send_statistic", "users": ["ann"], "month": one}
        world.put("monthly_statistic", trigger, partition=home)
    else:
        elsewhere = one.topic != "registration" and one.misplaced
        partition = 1 - home if elsewhere else home
        world.put(one.topic, one.value, partition=partition, at=one.at)


async def play(story: list[list[Said | str]], at_once: bool) -> World:
    """Tell a world the story; what a worker has not committed its successor reads again."""
    world = World(partitions=2)
    for film, genres in GENRES.items():
        world.put("films", {"film_id": film, "title": film, "genres": genres})
    await world.tick(NOON)
    home = next(n for n in range(2) if world.memory.tables(n) is world.tables("ann"))
    for part in story:
        for one in part:
            put(world, one, home)
            if not at_once:
                await world.run(commit=False)
        await world.run(commit=False)
        world.start()
    await world.run()
    return world


@settings(max_examples=200)
@given(stories(), st.booleans())
def test_the_numbers_are_those_computed_from_scratch_after_any_order_repeats_and_restarts(
    story: list[list[Said | str]], at_once: bool
) -> None:
    world = asyncio.run(play(story, at_once))
    said, late = in_order(story)
    tables = world.tables("ann")
    user = tables.users.of("ann")
    for month in MONTHS:
        found = month_report(user, month, tables, "UTC")
        genres = {genre.genre: genre.films for genre in found.genres}
        assert (found.films, found.seconds, genres, found.streak) == from_scratch(said, month)
    if not at_once:
        # Late is what came after the report: this alone depends on the order.
        assert user.late == dict(late)
