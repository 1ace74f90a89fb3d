"""What people have read goes to Redis and to the topic, or to neither."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from redis.asyncio import Redis

from sender.inbox import Inbox, Read
from sender.web.reads import Reads
from streams.jobs import InboxRead, decode_inbox
from streams.records import Output
from streams.serving import FILLED
from tests.sender.test_inbox import draft


class SlowInbox(Inbox):
    """An inbox whose answer takes its time."""

    marked = False

    async def read(self, user_id: str, ids: Iterable[int], *, filling: bool = False) -> Read:
        done = await super().read(user_id, ids)
        self.marked = True
        await asyncio.sleep(0.05)
        return done


async def test_a_socket_that_closes_while_it_marks_leaves_nothing_in_redis_alone(
    redis: Redis,
) -> None:
    written: list[Output] = []

    async def produce(outputs: Sequence[Output]) -> list[tuple[int, int]]:
        written.extend(outputs)
        return []

    inbox = SlowInbox(redis)
    await redis.set(FILLED, "by the test")
    (entry,) = await inbox.add([("anna", draft(1))])
    reads = Reads(inbox, produce)
    await reads.start()
    closing = asyncio.create_task(reads.mark("anna", [entry.id]))
    while not inbox.marked:
        await asyncio.sleep(0.001)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await reads.stop()
    assert (await inbox.page("anna")).state.unread == 0
    assert [decode_inbox(one.value or b"") for one in written] == [InboxRead([entry.id])]
