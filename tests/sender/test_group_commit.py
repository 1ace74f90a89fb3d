from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sender.group_commit import GroupCommit


class Store:
    """A store whose writes take until they are let through, and may fail."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def write(self, items: list[int]) -> None:
        self.groups.append(items)
        await self.open.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def store() -> Store:
    return Store()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0)


async def test_what_comes_while_a_write_is_under_way_goes_with_the_next(store: Store) -> None:
    group = GroupCommit(store.write)
    adding = [asyncio.create_task(group.add([0]))]
    await until(lambda: bool(store.groups))
    adding += [asyncio.create_task(group.add([number, -number])) for number in (1, 2, 3)]
    await asyncio.sleep(0.01)
    assert store.groups == [[0]]
    assert not any(task.done() for task in adding)
    store.open.set()
    await asyncio.gather(*adding)
    assert store.groups == [[0], [1, -1, 2, -2, 3, -3]]


async def test_a_write_that_fails_fails_for_all_of_its_group_and_for_no_other(
    store: Store,
) -> None:
    group = GroupCommit(store.write)
    store.error = ConnectionError("away")
    store.open.set()
    failed = await asyncio.gather(group.add([1]), group.add([2]), return_exceptions=True)
    assert [type(error) for error in failed] == [ConnectionError, ConnectionError]
    store.error = None
    await group.add([3])
    assert store.groups == [[1, 2], [3]]


async def test_one_who_is_cancelled_takes_nothing_from_the_others(store: Store) -> None:
    group = GroupCommit(store.write)
    first, second = (asyncio.create_task(group.add([number])) for number in (1, 2))
    await until(lambda: bool(store.groups))
    first.cancel()
    store.open.set()
    await second
    assert store.groups == [[1, 2]]
    assert first.cancelled()
