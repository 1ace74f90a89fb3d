"""Each occurrence once: whatever comes between, held against a person with a watch and a list.

The model knows no heaps, walks, marks or tables. A person wears a watch that shows local time. What
a campaign says at L is due when the watch comes to L, or is put past it by a move (of several, the
last alone), and never again what was due before it. When a zone's clock comes to L the oracle of
`test_cron` says, which walks over minutes.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import product
from operator import itemgetter
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from streams import passing, walking
from streams.fields import zone
from streams.jobs import Cause
from tests.streams import oracle
from tests.streams.oracle import DAY, EPOCH, minute
from tests.streams.world import World

# Days before the clocks of some of these zones change, and of none.
STARTS = [datetime(2026, *day, 12, tzinfo=UTC) for day in ((3, 27), (4, 3), (10, 23), (11, 19))]
ZONES = [
    *("Europe/Berlin", "Europe/London", "Asia/Tokyo", "America/Lima"),
    *("Australia/Lord_Howe", "Pacific/Apia", "Europe/Kiev", "Europe/Kyiv"),
]
USERS = ("ann", "bob", "cid")
SPAN = 45 * DAY
EVENING, MORNING, FORENOON, NIGHT = 18 * 60, 7 * 60, 10 * 60, 2 * 60 + 30
TIMES = frozenset({EVENING, MORNING, FORENOON, NIGHT})
FRIDAY = 4
NEVER = -1


class Plan(NamedTuple):
    """When a campaign is due: a minute of the day, on one weekday or day of the month, or all.

    `once`: on one day alone, so many after the start.
    """

    time: int
    weekday: int | None = None
    day: int | None = None
    once: int | None = None

    def when(self, start: datetime) -> dict[str, str]:
        hour, minutes = divmod(self.time, 60)
        if self.once is None:
            return {"cron": f"{minutes} {hour} * * *"}
        return {"local_at": f"{self.date(start)}T{hour:02}:{minutes:02}"}

    def date(self, start: datetime) -> date | None:
        return None if self.once is None else (start + timedelta(self.once)).date()


#: By campaign what it may be given: the mail that waits, and the inbox entry that does not.
KINDS = {"tips": "tip", "notes": "activity", "feast": "activity"}
PLANS = {
    "tips": (Plan(EVENING), Plan(MORNING)),
    "notes": (Plan(NIGHT), Plan(EVENING)),
    "feast": (Plan(MORNING, once=3), Plan(NIGHT, once=9)),
}
BUILT_IN = {
    "weekly_reminder": Plan(EVENING, weekday=FRIDAY),
    "monthly_statistic": Plan(FORENOON, day=1),
}

#: Until the next thing happens: an hour, half a day, or a pause.
minutes = st.integers(1, 90) | st.integers(3 * 60, 15 * 60) | st.integers(DAY, 4 * DAY)
users = st.sampled_from(USERS)
names = st.sampled_from(sorted(KINDS))
choices = st.sampled_from(
    [
        {"unsubscribe": ["tip", "weekly_reminder"]},
        {"resubscribe": ["tip", "weekly_reminder"]},
        {"quiet_hours": {"from": "17:00", "to": "19:30"}},
        {"quiet_hours": None},
        {"channels": {"tip": ["email"]}},
        {"taboo": True},
        {"taboo": False},
    ]
)
moves = st.tuples(st.just("move"), users, st.sampled_from(ZONES))
steps = st.one_of(
    moves,
    moves,
    st.tuples(st.just("choose"), users, choices),
    st.tuples(st.just("pause"), users, st.integers(1, 4)),
    st.tuples(st.just("plan"), names, st.sampled_from([0, 1])),
    st.tuples(st.just("disable"), names),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("busy")),
    st.tuples(st.just("idle"), st.integers(0, 5)),
    st.tuples(st.just("restart")),
)
deaths = st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=4)


@cache
def firings(name: str, start: datetime, plan: Plan) -> list[tuple[int, int]]:
    """Return (minute of UTC, wall minute) of all that is due in a zone, by the oracle's walk."""
    due = []
    for local, now in clock(name, start)[plan.time]:
        at = EPOCH + timedelta(minutes=local)
        days = ((plan.weekday, at.weekday()), (plan.day, at.day), (plan.date(start), at.date()))
        if all(wanted in (None, found) for wanted, found in days):
            due.append((now, local))
    return due


@cache
def clock(name: str, start: datetime) -> dict[int, list[tuple[int, int]]]:
    """Return (wall minute, minute of UTC) of each local time, from a month before the start on."""
    return oracle.fixed(zone(name), minute(start) - 35 * DAY, minute(start) + SPAN, TIMES)


class Watch:
    """A person, a campaign, and what of it was due to them."""

    def __init__(self, start: datetime, place: str, plan: Plan | None) -> None:
        self._start = start
        self.place = place
        self.plan = plan
        self.since = NEVER
        self.due: list[int] = []
        #: What the campaign came too late for: it may be skipped, and not be said.
        self.late: set[int] = set()
        self._last = NEVER

    def _latest(self, place: str, now: int) -> tuple[int, int]:
        assert self.plan is not None
        found = [(NEVER, NEVER), *firings(place, self._start, self.plan)]
        return found[bisect_right(found, now, key=itemgetter(0)) - 1]

    def _is_due(self, local: int) -> None:
        if local > self._last:
            self.due.append(local)
            self._last = local

    def here(self, before: int, now: int) -> set[int]:
        """Return what the zone's clock has come to between."""
        if self.plan is None:
            return set()
        after = max(before, self.since)
        found = firings(self.place, self._start, self.plan)
        return {local for at, local in found if after < at <= now}

    def go_on(self, before: int, now: int) -> None:
        """Let time pass."""
        for local in sorted(self.here(before, now)):
            self._is_due(local)

    def move(self, place: str, now: int) -> None:
        """Put the watch to another zone's time."""
        old, self.place = self.place, place
        if self.plan is None:
            return
        at, local = self._latest(place, now)
        put_past = local > self._latest(old, now)[1]
        if put_past and at > self.since and at >= minute(self._start):
            self._is_due(local)

    def change(self, plan: Plan | None, now: int, said: set[int]) -> set[int]:
        """Give the campaign another time; return what was due and may stay unsaid now."""
        self.plan, self.since = plan, now
        unsaid = set(self.due) - said
        self.due = [local for local in self.due if local in said]
        self._last = max(self.due, default=NEVER)
        if plan is not None and plan.once is not None:
            self.late |= {self._latest(place, now)[1] for place in ZONES}
        return unsaid


class Story:
    """A world and its model, step by step."""

    def __init__(self, start: datetime, deaths: list[tuple[int, bool]]) -> None:
        self.start, self.now = start, start
        self.deaths = list(deaths)
        self.world = World(partitions=2)
        plans: dict[str, Plan | None] = {name: plans[0] for name, plans in PLANS.items()}
        plans |= BUILT_IN
        self.watches = {
            (user, name): Watch(start, ZONES[number], plans[name])
            for (number, user), name in product(enumerate(USERS), plans)
        }
        self.given = dict(plans)
        #: What may be said: it was due before its campaign was changed, and had not been said; or a
        #: walk that had to wait still goes through the zone that a person has come to.
        self.may: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.busy_since: int | None = None
        self.was_busy = False

    async def play(self, steps: list[tuple[int, tuple[Any, ...]]]) -> None:
        world = self.world
        await world.tick(self.start)
        for number, user in enumerate(USERS):
            profile = {"user_id": user, "email": f"{user}@example.com", "timezone": ZONES[number]}
            world.put("users", profile, key=user)
        for name in ("one", "two"):
            world.put("films", {"film_id": name, "title": name}, key=name)
        for user, days in product(USERS, (20, 10, 1)):
            watch = {"user_id": user, "film_id": "one", "seconds": 60}
            watch["at"] = (self.start - timedelta(days)).isoformat()
            world.put("watch_history", watch)
        for name, (plan, _) in PLANS.items():
            self._put_campaign(name, plan)
            for user in USERS:
                self.watches[user, name].since = minute(self.start)
        await world.run()
        for length, (name, *arguments) in steps:
            if self.now - self.start < timedelta(days=30):
                await self._pass(length)
                await getattr(self, f"_{name}")(*arguments)
        # A day's mails that wait go, and who went west comes to all that was.
        await self._idle(0)
        for _ in range(6):
            await self._pass(DAY // 2)

    async def _settle(self) -> None:
        await self.world.live(self.deaths)

    async def _pass(self, length: int) -> None:
        before, self.now = self.now, self.now + timedelta(minutes=length)
        self.world.now = self.now
        for partition in range(2):
            # Of two tickers one is late, and repeats itself.
            for at in (before, self.now, self.now, before + (self.now - before) / 2):
                self.world.put("clock", {"at": at.isoformat()}, partition=partition)
        await self._settle()
        for watch in self.watches.values():
            watch.go_on(minute(before), minute(self.now))

    async def _move(self, user: str, place: str) -> None:
        await self._choose(user, {"timezone": place})
        for (owner, name), watch in self.watches.items():
            if owner == user:
                watch.move(place, minute(self.now))
                if self.busy_since is not None:
                    self.may[user, name] |= watch.here(self.busy_since, minute(self.now))

    async def _choose(self, user: str, choice: dict[str, Any]) -> None:
        self.world.put("preferences", {"user_id": user, **choice})
        await self._settle()

    async def _pause(self, user: str, days: int) -> None:
        await self._choose(user, {"pause_until": (self.now + timedelta(days)).isoformat()})

    async def _plan(self, name: str, number: int) -> None:
        await self._change(name, PLANS[name][number])

    async def _disable(self, name: str) -> None:
        await self._change(name, None)

    async def _delete(self, name: str) -> None:
        self.world.put("campaigns", None, key=name, partition=0)
        await self._changed(name, None)

    async def _change(self, name: str, plan: Plan | None) -> None:
        self._put_campaign(name, plan or PLANS[name][0], enabled=plan is not None)
        await self._changed(name, plan)

    async def _changed(self, name: str, plan: Plan | None) -> None:
        same, self.given[name] = self.given[name] == plan, plan
        if not same:
            said = {key: set(found) for key, found in self.outcomes().items()}
            for user in USERS:
                key = (user, name)
                now = minute(self.now)
                self.may[key] |= self.watches[key].change(plan, now, said.get(key, set()))
                assert self.was_busy or not self.may[key]
        await self._settle()

    async def _busy(self) -> None:
        self.was_busy = True
        if self.busy_since is None:
            self.busy_since = minute(self.now)
        self.world.bulk_lag = walking.BULK_LAG + 1

    async def _idle(self, turns: int) -> None:
        # Slices are bounded by time: an open walk may have its turns when another had none.
        for tables in self.world.memory.partitions_held.values():
            for _ in range(turns):
                tables.walks.next()
        self.world.bulk_lag = 0
        await self._settle()
        self.busy_since = None

    async def _restart(self) -> None:
        self.world.start()
        await self._settle()

    def _put_campaign(self, name: str, plan: Plan, *, enabled: bool = True) -> None:
        campaign = {"campaign_id": name, "kind": KINDS[name], "enabled": enabled}
        campaign |= {"context": {"body": "hi"}, **plan.when(self.start)}
        self.world.put("campaigns", campaign, key=name, partition=0)

    def outcomes(self) -> dict[tuple[str, str], dict[int, list[str]]]:
        """Return by person and campaign, for each occurrence, its channels, or why it was skipped.

        Each id once: the same decision made again after a kill has the same.
        """
        found: dict[tuple[str, str], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))

        def add(user: str, cause: Cause, what: str) -> None:
            name, _, local = (cause.event_id or "").partition("@")
            found[user, name][minute(datetime.fromisoformat(local))].append(what)

        jobs = {job.job_id: job for job in (*self.world.held(), *self.world.jobs())}
        for job in jobs.values():
            add(job.user_id, job.cause, job.channel)
        for one in self.world.deliveries():
            if one.status == "skipped" and one.job_id not in jobs:
                add(one.user_id, one.cause, f"skipped: {one.reason}")
        return found


def unfinished(world: World) -> Iterator[str]:
    """Yield the ids of jobs that were held and neither rest, nor went, nor were skipped."""
    ended = {job.job_id for job in world.jobs()}
    ended |= {one.job_id for one in world.deliveries() if one.status == "skipped"}
    for job in world.held():
        resting = world.tables(job.user_id).deferred.get(job.job_id)
        if job.job_id not in ended and resting is None:
            yield job.job_id


@settings(max_examples=120)
@given(
    start=st.sampled_from(STARTS),
    story=st.lists(st.tuples(minutes, steps), min_size=3, max_size=16),
    deaths=deaths,
)
def test_whatever_happens_each_occurrence_is_said_once_or_skipped_with_its_reason(
    start: datetime, story: list[tuple[int, tuple[Any, ...]]], deaths: list[tuple[int, bool]]
) -> None:
    told = Story(start, deaths)
    # Walks a person at a time, and ticks a firing at a time: all that can lie between does.
    with patch.object(passing, "OPENED", 2), patch.object(walking, "CHUNK", 1):
        asyncio.run(told.play(story))
    outcomes = told.outcomes()
    for key, watch in told.watches.items():
        found = outcomes.get(key, {})
        assert set(watch.due) <= set(found), f"{key}: due and neither said nor skipped"
        never = set(found) - {*watch.due, *told.may[key]}
        assert never <= watch.late, f"{key}: said and never due"
        for local in never:
            assert found[local][0].startswith("skipped: the campaign came after its time")
        for local, what in found.items():
            skips = [one for one in what if one.startswith("skipped: ")]
            assert len(what) == len(set(what)), f"{key}: twice over one channel"
            # One that was deleted long ago and comes again, too late by then, begins anew.
            anew = local in watch.late
            assert not skips or anew or len(what) == 1, f"{key}: said and skipped, at {local}"
            assert "skipped: " not in skips, f"{key}: skipped without a reason"
    world = told.world
    jobs = {job.job_id: job for job in (*world.held(), *world.jobs())}
    spans = Counter(
        (job.user_id, job.context.get("week") or job.context["month"])
        for job in jobs.values()
        if job.kind in BUILT_IN
    )
    assert set(spans.values()) <= {1}, "a week or a month twice"
    ids = {one.job_id: one.kind for one in world.deliveries() if one.status == "skipped"}
    ids |= {job_id: job.kind for job_id, job in jobs.items()}
    assert world.job_ids() == Counter(ids.values()), "decided twice"
    assert list(unfinished(world)) == []
    assert world.values("dead_letters") == []
