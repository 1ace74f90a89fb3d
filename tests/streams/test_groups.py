"""Activity that is alike becomes one notification, whatever happens to the worker meanwhile."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import resting
from streams.jobs import Job
from streams.partitions import partition_of
from tests.streams.test_deciding import stranger_to
from tests.streams.world import Killed, World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=2)


@pytest.fixture
async def world() -> World:
    """Return a world where it is noon."""
    world = World(partitions=1)
    await world.tick(NOON)
    return world


def like(world: World, body: str, user: str = "ann", **more: Any) -> None:
    world.put("activity", {"user_id": user, "body": body, "group": "likes", **more})


def said(world: World) -> list[tuple[int, list[str]]]:
    """Return the counts and bodies of the jobs, in their order on the lane."""
    return [
        (job.context.get("count", 1), job.context.get("bodies", [job.context["body"]]))
        for job in world.jobs("outbox_urgent")
    ]


async def test_events_of_a_window_become_one_job_at_its_end(world: World) -> None:
    for number in range(4):
        like(world, f"{number}")
        await world.tick(NOON + timedelta(seconds=20 * number))
    await world.tick(NOON + WINDOW - timedelta(seconds=1))
    assert said(world) == []
    await world.tick(NOON + WINDOW)
    assert said(world) == [(4, ["0", "1", "2"])]
    assert world.outcomes("activity") == {"applied": 4}
    assert world.job_ids() == {"activity": 1}


async def test_windows_that_end_together_are_said_in_order_of_their_ends(world: World) -> None:
    for number, user in enumerate(("zoe", "ann", "moe")):
        like(world, user, user)
        await world.tick(NOON + timedelta(seconds=number + 1))
    await world.tick(NOON + timedelta(hours=1))
    assert [job.user_id for job in world.jobs()] == ["zoe", "ann", "moe"]


async def test_a_slice_says_some_of_them_and_the_next_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        like(world, "b", f"u{number}")
    await world.run()
    world.put("clock", {"at": (NOON + WINDOW).isoformat()}, partition=0)
    monkeypatch.setattr("streams.deciding.SLICE", -1.0)
    await world.one_round()
    assert len(world.jobs()) == 1
    await world.run()
    assert len(world.jobs()) == len({job.user_id for job in world.jobs()}) == 5


async def test_after_a_long_pause_it_is_still_one(world: World) -> None:
    like(world, "one")
    like(world, "two")
    await world.tick(NOON + timedelta(days=3))
    like(world, "three")
    await world.tick(NOON + timedelta(days=3, minutes=2))
    assert said(world) == [(2, ["one", "two"]), (1, ["three"])]


async def test_a_window_outlives_its_worker(world: World) -> None:
    like(world, "one")
    await world.run()
    world.start()
    like(world, "two")
    await world.run()
    world.start()
    await world.tick(NOON + WINDOW)
    assert said(world) == [(2, ["one", "two"])]


@pytest.mark.parametrize("written", [False, True])
async def test_who_comes_after_a_kill_does_not_join_what_was_said_before_it(
    world: World, written: bool
) -> None:
    like(world, "one")
    await world.run()
    # The clock goes on in memory alone, until it ends the window.
    await world.tick(NOON + timedelta(seconds=100))
    world.put("clock", {"at": (NOON + WINDOW).isoformat()}, partition=0)
    # The tick's row, the job, and then the row that says it was said.
    world.log.kill_at, world.log.written_first = 1 if written else 2, written
    with pytest.raises(Killed):
        await world.run()
    assert said(world) == [(1, ["one"])]
    world.committed.clear()
    world.start()
    # Read before the clock is: partitions do not wait for each other's topics.
    like(world, "two")
    await world.run()
    await world.tick(NOON + 2 * WINDOW)
    assert said(world) == [(1, ["one"]), (1, ["two"])]
    assert world.job_ids() == {"activity": 2}


async def test_a_repeated_event_does_not_count_again(world: World) -> None:
    for name in ("e1", "e2", "e1"):
        like(world, name, event_id=name)
        await world.run()
    await world.tick(NOON + WINDOW)
    like(world, "e2", event_id="e2")
    await world.tick(NOON + 2 * WINDOW)
    assert said(world) == [(2, ["e1", "e2"])]
    assert world.outcomes("activity") == {"applied": 2, "duplicate": 2}


async def test_what_was_sent_on_joins_its_window_once() -> None:
    world = World()
    await world.tick(NOON)
    user = stranger_to(0)
    value = {"user_id": user, "body": "strayed", "group": "likes"}
    world.put("activity", value, partition=0)
    like(world, "at home", user)
    await world.run()
    home = partition_of(user, 2)
    world.put("activity", value, partition=home, headers=[("cinema-origin", b"activity/0/0")])
    await world.tick(NOON + WINDOW)
    ((count, bodies),) = said(world)
    assert (count, sorted(bodies)) == (2, ["at home", "strayed"])
    assert world.outcomes("activity") == {"forwarded": 1, "applied": 2, "duplicate": 1}


async def test_what_is_not_wanted_any_more_is_one_skip(world: World) -> None:
    like(world, "one")
    like(world, "two")
    await world.run()
    world.put("preferences", {"user_id": "ann", "unsubscribe": ["activity"]})
    await world.tick(NOON + WINDOW)
    assert said(world) == []
    (skip,) = world.deliveries()
    assert (skip.reason, skip.cause.offset) == ("unsubscribed", 0)
    assert world.job_ids() == {"activity": 1}


async def test_an_open_window_of_the_erased_is_gone_and_counted_nowhere(world: World) -> None:
    like(world, "one")
    await world.run()
    world.put("users", None, key="ann")
    await world.run()
    like(world, "in another life")
    await world.tick(NOON + WINDOW)
    assert said(world) == [(1, ["in another life"])]
    assert world.job_ids() == {"activity": 1}
    live = {record.key: record.value for record in world.log.records["changelog", 0]}
    assert not any(value and b"one" in value for value in live.values())


async def test_a_window_whose_end_raises_is_said_to_have_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*rest: object) -> Iterator[Any]:
        raise RuntimeError("no such thing")

    like(world, "one")
    await world.run()
    monkeypatch.setattr(resting, "close", broken)
    await world.tick(NOON + WINDOW)
    (skip,) = world.deliveries()
    assert (skip.status, skip.reason) == ("skipped", "error: RuntimeError")
    assert not world.tables("ann").groups.rows


# -- any story


class Bursts:
    """Events in groups, ticks and kills as they come; remembers when each event was sent."""

    def __init__(self) -> None:
        self.world = World(partitions=2, group_seconds=int(WINDOW.total_seconds()))
        self.now = NOON
        #: By person and group the events in the order of the log: between which times each is
        #: decided, and its name.
        self.sent: defaultdict[tuple[str, str], list[tuple[float, float, str]]] = defaultdict(list)
        self._number = 0

    def event(self, user: str, group: str, again: bool) -> None:
        """Send an event, perhaps a second time under the same name."""
        name = f"{user}-{group}-{self._number}"
        self._number += 1
        value = {"user_id": user, "group": group, "body": name, "event_id": name}
        for _ in range(2 if again else 1):
            self.world.put("activity", value)
        heard = self.world.tables(user).counts.book.tick or 0.0
        self.sent[user, group].append((heard, self.now.timestamp(), name))

    def tick(self, seconds: int) -> None:
        """Tell every partition a time; nothing reads it yet."""
        self.now += timedelta(seconds=seconds)
        self.world.now = self.now
        for partition in range(2):
            self.world.put("clock", {"at": self.now.isoformat()}, partition=partition)

    async def run(self, lives: int | None, written: bool, batch: int) -> None:
        """Process what there is, or die after so many sends; a new worker reads some again."""
        world = self.world
        world.log.kill_at, world.log.written_first = lives, written
        try:
            await world.run(batch)
        except Killed:
            for place in world.committed:
                world.committed[place] = max(world.committed[place] - 2, 0)
            world.start()
        world.log.kill_at = None


users = st.sampled_from(["ann", "bob"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), users, st.sampled_from("gh"), st.booleans()),
        st.tuples(st.just("event"), users, st.sampled_from("gh"), st.booleans()),
        # Under a minute: time that changes nothing else is not written.
        st.tuples(st.just("tick"), st.sampled_from([1, 40, 59, 119, 120, 500])),
        st.tuples(
            st.just("run"),
            st.one_of(st.none(), st.integers(0, 3)),
            st.booleans(),
            st.sampled_from([1, 3, 500]),
        ),
    ),
    max_size=30,
)


@given(steps=steps)
@settings(max_examples=300)
def test_counts_add_up_to_the_events_and_no_entry_spans_more_than_its_window(
    steps: list[tuple[Any, ...]],
) -> None:
    async def live() -> Bursts:
        bursts = Bursts()
        bursts.tick(0)
        await bursts.world.run()
        for what, *rest in steps:
            if what == "event":
                bursts.event(*rest)
            elif what == "tick":
                # Time goes on once everybody has heard what was said in it.
                await bursts.world.run()
                bursts.tick(*rest)
            else:
                await bursts.run(*rest)
        await bursts.world.run()
        bursts.tick(int(WINDOW.total_seconds()))
        await bursts.world.run()
        return bursts

    bursts = asyncio.run(live())
    world = bursts.world
    entries: defaultdict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in first_copies(world):
        user, group, _ = job.context["body"].split("-")
        entries[user, group].append(job)
    assert entries.keys() == bursts.sent.keys()
    for owner, sent in bursts.sent.items():
        left = list(sent)
        for job in entries[owner]:
            count = job.context.get("count", 1)
            taken, left = left[:count], left[count:]
            names = [name for _, _, name in taken]
            assert len(taken) == count
            assert job.context.get("bodies", [job.context["body"]]) == names[:3]
            assert taken[-1][0] - taken[0][1] < WINDOW.total_seconds()
        assert left == []
    assert world.job_ids().get("activity", 0) == len(first_copies(world))
    assert not any(tables.groups.rows for tables in world.memory.partitions_held.values())


def first_copies(world: World) -> list[Job]:
    """Return each job as it was first sent: what the ledger lets through."""
    found: dict[str, Job] = {}
    for job in world.sent("outbox_urgent"):
        found.setdefault(job.job_id, job)
    return list(found.values())
