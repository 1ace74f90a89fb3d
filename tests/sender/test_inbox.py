"""The inbox on a real Redis: ids, read state, messages, and what can be rebuilt."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from sender import inbox as module
from sender.inbox import (
    Added,
    Changed,
    Draft,
    Inbox,
    Kept,
    Read,
    State,
    channel,
    decode_message,
)
from streams.errors import RedisUnavailable
from streams.jobs import InboxEntry
from streams.serving import FILLED


def draft(number: int, body: str = "Hello") -> Draft:
    return Draft(
        job_id=f"{number:032x}",
        kind="activity",
        title="Title",
        body=body,
        url="",
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


async def add(inbox: Inbox, user: str, *numbers: int) -> list[InboxEntry]:
    return await inbox.add([(user, draft(number)) for number in numbers])


async def ids(inbox: Inbox, user: str) -> list[int]:
    return [kept.entry.id for kept in await entries(inbox, user)]


async def entries(inbox: Inbox, user: str, after: int = 0) -> list[Kept]:
    """Return all entries after a cursor, however many pages they are."""
    page = await inbox.page(user, after)
    found = page.entries
    while page.more:
        page = await inbox.page(user, found[-1].entry.id)
        found += page.entries
    return found


async def state(inbox: Inbox, user: str) -> State:
    return (await inbox.page(user)).state


async def test_ids_rise_strictly_and_are_milliseconds(inbox: Inbox, redis: Redis) -> None:
    seconds, _ = await redis.time()
    entries = await add(inbox, "anna", 1, 2, 3)
    numbers = [entry.id for entry in entries]
    assert numbers == sorted(set(numbers))
    assert abs(numbers[0] / 1000 - seconds) < 5
    assert numbers[-1] < 2**53


async def test_adds_at_once_to_one_user_give_strictly_rising_ids_without_repeats(
    inbox: Inbox,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    shuffled = random.Random(seed)
    numbers = [number for number in range(100) for _ in range(2)]
    shuffled.shuffle(numbers)
    batches = [numbers[start : start + 5] for start in range(0, len(numbers), 5)]
    added = await asyncio.gather(*(add(inbox, "anna", *batch) for batch in batches))
    by_job: dict[str, set[int]] = {}
    for entry in (entry for batch in added for entry in batch):
        by_job.setdefault(entry.job_id, set()).add(entry.id)
    kept = await ids(inbox, "anna")
    assert len(kept) == 100 and kept == sorted(set(kept))
    assert all(len(numbers) == 1 for numbers in by_job.values())
    assert {next(iter(numbers)) for numbers in by_job.values()} == set(kept)
    assert (await state(inbox, "anna")).unread == 100


async def test_a_repeated_job_gets_the_id_it_had_and_nobody_hears_of_it(
    inbox: Inbox, redis: Redis
) -> None:
    (first,) = await add(inbox, "anna", 1)
    async with redis.pubsub() as socket:
        await socket.subscribe(channel("anna"))
        (again,) = await add(inbox, "anna", 1)
        (second,) = await add(inbox, "anna", 2)
        data = [message["data"] async for message in _messages(socket, 1)]
    assert again.id == first.id
    assert decode_message(data[0]) == Added(first.id, 2, second)


async def test_sockets_hear_what_was_added_read_and_erased(inbox: Inbox, redis: Redis) -> None:
    async with redis.pubsub() as socket:
        await socket.subscribe(channel("anna"))
        one, two = await add(inbox, "anna", 1, 2)
        await add(inbox, "boris", 3)
        await inbox.read("anna", [two.id])
        await inbox.erase("anna")
        heard = [decode_message(message["data"]) async for message in _messages(socket, 4)]
    assert heard == [Added(0, 1, one), Added(one.id, 2, two), Read(1, (two.id,)), Changed()]


async def test_reading_is_monotonic_and_ids_of_the_future_mean_nothing(inbox: Inbox) -> None:
    one, two = await add(inbox, "anna", 1, 2)
    assert await inbox.read("anna", [one.id, one.id, two.id + 1, 2**60, -1]) == Read(1, (one.id,))
    assert await inbox.read("anna", [one.id]) == Read(1, ())
    (three,) = await add(inbox, "anna", 3)
    kept = await entries(inbox, "anna")
    assert [item.read for item in kept] == [True, False, False]
    assert [item.entry.id for item in kept if not item.read] == [two.id, three.id]


async def test_entries_come_after_a_cursor_in_order_and_up_to_a_limit(inbox: Inbox) -> None:
    added = await add(inbox, "anna", *range(6))
    await inbox.read("anna", [added[1].id])
    page = await inbox.page("anna", added[1].id, limit=3)
    assert [kept.entry for kept in page.entries] == added[2:5] and page.more
    assert page.before == [added[0].id] and page.state == State(5, added[-1].id, 0)
    rest = await inbox.page("anna", added[4].id)
    assert [kept.entry for kept in rest.entries] == added[5:] and not rest.more
    end = await inbox.page("anna", added[5].id)
    assert end.entries == [] and not end.more


async def test_a_page_ends_with_the_entry_that_fills_it(inbox: Inbox) -> None:
    large = [("anna", draft(number, "x" * 30_000)) for number in range(25)]
    added = await inbox.add(large)
    page = await inbox.page("anna")
    assert [kept.entry for kept in page.entries] == added[:3] and page.more
    assert await ids(inbox, "anna") == [entry.id for entry in added]


async def test_what_is_dropped_is_not_unread_any_more_and_leaves_a_gap(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP", 10)
    monkeypatch.setattr(module, "SPARE", 5)
    added = await add(inbox, "anna", *range(15))
    assert await state(inbox, "anna") == State(10, added[-1].id, added[4].id)
    assert await ids(inbox, "anna") == [entry.id for entry in added[5:]]


async def test_an_emptied_inbox_is_restored_with_the_same_ids(inbox: Inbox, redis: Redis) -> None:
    before = await add(inbox, "anna", *range(120))
    await inbox.read("anna", [before[0].id])
    await redis.flushall()
    assert await inbox.restore("anna", reversed(before)) == 120
    assert await inbox.restore("anna", before) == 0
    await inbox.read("anna", [before[0].id], filling=True)
    await redis.set(FILLED, "again")
    kept = await entries(inbox, "anna")
    assert [item.entry for item in kept] == before
    assert [item.read for item in kept] == [True] + [False] * 119
    # More than one a millisecond: ids are ahead of the clock, and go on from there.
    later = await add(inbox, "anna", 2, 120)
    assert later[0].id == before[2].id and later[1].id > before[-1].id


async def test_what_is_missing_is_put_back_between_what_is_there(
    inbox: Inbox, redis: Redis
) -> None:
    added = await add(inbox, "anna", 1, 2, 3, 4)
    await redis.flushall()
    assert await inbox.restore("anna", added[1::2]) == 2
    assert await inbox.restore("anna", added) == 2
    await redis.set(FILLED, "again")
    assert await ids(inbox, "anna") == [entry.id for entry in added]


async def test_an_inbox_that_may_be_missing_entries_is_not_looked_at_and_not_changed(
    inbox: Inbox, redis: Redis
) -> None:
    (entry,) = await add(inbox, "anna", 1)
    await redis.delete(FILLED)
    for attempt in (
        inbox.page("anna"),
        inbox.add([("anna", draft(2))]),
        inbox.read("anna", [entry.id]),
    ):
        with pytest.raises(RedisUnavailable):
            await attempt
    await redis.set(FILLED, "again")
    (kept,) = await entries(inbox, "anna")
    assert kept.entry == entry and not kept.read


async def test_a_restored_inbox_never_keeps_more_than_it_would_have(
    inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await add(inbox, "anna", *range(12))
    await redis.flushall()
    await redis.set(FILLED, "again")
    monkeypatch.setattr(module, "KEEP", 10)
    await inbox.restore("anna", added)
    assert await ids(inbox, "anna") == [entry.id for entry in added[2:]]
    assert await state(inbox, "anna") == State(10, added[-1].id, added[1].id)
    assert await inbox.restore("anna", added) == 0


async def test_erasing_leaves_nothing_of_a_user_and_touches_no_other(
    inbox: Inbox, redis: Redis
) -> None:
    await add(inbox, "anna", 1)
    await add(inbox, "boris", 2)
    await inbox.erase("anna")
    assert len(await redis.keys("i*")) == 4
    assert await ids(inbox, "anna") == [] and (await state(inbox, "boris")).unread == 1


async def _messages(socket: object, wanted: int):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(5):
        while wanted:
            message = await socket.get_message(timeout=1)  # type: ignore[attr-defined]
            if message and message["type"] == "message":
                wanted -= 1
                yield message
