"""What goes on beside a block ends with it, and ends it when it fails."""

from __future__ import annotations

import asyncio

import pytest

from dev.chaos.meanwhile import Meanwhile


async def test_what_goes_on_beside_a_block_ends_with_it() -> None:
    ended = asyncio.Event()

    async def on_and_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with Meanwhile(on_and_on()):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_failure_beside_a_block_ends_the_block() -> None:
    async def fail() -> None:
        raise OSError("gone")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10), Meanwhile(fail()):
            await asyncio.sleep(60)
    assert caught.group_contains(OSError, match="gone")


async def test_a_failure_of_the_block_ends_what_goes_on_beside_it() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10), Meanwhile(asyncio.sleep(60)):
            raise OSError("here")
    assert caught.group_contains(OSError, match="here")
