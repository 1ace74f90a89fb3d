"""Which records of a batch are new, and what is committed; tests/kafka has the real broker."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from streams.fetching import Fetched
from streams.transport import Batch, Consumer

PLACE = TP("registration", 0)


class Consuming(Consumer):
    """The consumer's own rules over a partition that the test describes."""

    def __init__(self, processed: int | None, *, earliest: int = 0) -> None:
        self.app = SimpleNamespace(  # type: ignore[assignment]
            consumer_generation_id=7,
            should_stop=False,
            rebalancing=False,
            tables=SimpleNamespace(changelog_topics={"changelog"}),
            conf=SimpleNamespace(broker_rebalance_timeout=0.2),
        )
        self.processed = {} if processed is None else {PLACE: processed}
        self.durable = {}
        self.outstanding = Counter()
        self.stopped = set()
        self.refetched = self.expired = self._busy = 0
        self._epoch = defaultdict(int)
        self._rows_came = False
        self.idle = asyncio.Event()
        self.idle.set()
        self._committed_offset = defaultdict(lambda: None)
        self.flow_active = True
        self.mine = {PLACE}
        self.earliest = earliest
        self.sought: list[int] = []
        self.committed: list[dict[TP, int]] = []

    def assignment(self) -> set[TP]:
        return self.mine

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, self.earliest)

    async def seek_wait(self, partitions: Any) -> None:
        self.sought.append(partitions[PLACE])

    async def _commit(self, offsets: Any) -> bool:
        self.committed.append(dict(offsets))
        return True

    async def commit_and_end_transactions(self) -> None:
        await self._commit_offsets(self._filter_committable_offsets(list(self.processed)))


def batch(
    first: int, last: int, *, start: int | None = None, epoch: int = 0, generation: int = 7
) -> Batch:
    """Return a batch of the offsets from first to last."""
    records = [
        ConsumerRecord(PLACE.topic, 0, offset, 0, 0, None, b"", None, 0, 0, ())
        for offset in range(first, last + 1)
    ]
    return Batch(PLACE, records, first if start is None else start, epoch, generation)


def offsets(records: Any) -> list[int]:
    return [record.offset for record in records]


async def test_a_batch_that_goes_on_where_processing_stands_is_taken_whole() -> None:
    consumer = Consuming(5)
    assert offsets(await consumer.fresh(batch(5, 7))) == [5, 6, 7]


async def test_of_a_batch_that_overlaps_only_the_new_records_are_taken() -> None:
    consumer = Consuming(6)
    assert offsets(await consumer.fresh(batch(4, 7))) == [6, 7]
    assert offsets(await consumer.fresh(batch(2, 5))) == []


async def test_a_gap_that_the_log_itself_has_is_passed() -> None:
    consumer = Consuming(5)
    assert offsets(await consumer.fresh(batch(9, 10, start=5))) == [9, 10]
    assert consumer.sought == []


async def test_records_lost_on_the_way_are_fetched_again_and_the_batch_waits_for_them() -> None:
    consumer = Consuming(5)
    assert await consumer.fresh(batch(9, 10)) == ()
    assert consumer.sought == [5]
    assert consumer.refetched == 1


async def test_a_hole_of_one_record_right_after_the_commit_is_seen() -> None:
    consumer = Consuming(5)
    assert await consumer.fresh(batch(6, 6)) == ()
    assert consumer.sought == [5]


async def test_what_was_fetched_before_the_last_seek_is_dropped_without_another_seek() -> None:
    consumer = Consuming(5)
    await consumer.fresh(batch(9, 10))
    assert await consumer.fresh(batch(11, 12, epoch=0)) == ()
    assert consumer.sought == [5]
    assert offsets(await consumer.fresh(batch(5, 6, epoch=1))) == [5, 6]


async def test_what_a_seek_has_brought_is_taken_even_when_it_was_fetched_in_the_old_epoch() -> None:
    consumer = Consuming(5)
    await consumer.fresh(batch(9, 10))
    assert offsets(await consumer.fresh(batch(5, 8, epoch=0))) == [5, 6, 7, 8]


async def test_records_that_retention_took_are_counted_and_do_not_stop_the_partition() -> None:
    consumer = Consuming(5, earliest=20)
    assert await consumer.fresh(batch(30, 31)) == ()
    assert (consumer.expired, consumer.sought) == (15, [20])
    assert offsets(await consumer.fresh(batch(20, 21, epoch=1))) == [20, 21]


async def test_a_batch_of_an_older_assignment_is_dropped() -> None:
    consumer = Consuming(5)
    assert await consumer.fresh(batch(5, 6, generation=6)) == ()
    consumer.mine = set()
    assert await consumer.fresh(batch(5, 6)) == ()


async def test_while_partitions_are_being_moved_nothing_new_is_begun() -> None:
    consumer = Consuming(5)
    consumer.flow_active = False
    assert await consumer.fresh(batch(5, 6)) == ()


async def test_only_what_was_processed_in_this_assignment_moves_the_commit() -> None:
    consumer = Consuming(5)
    consumer.done(batch(5, 6, generation=6), 7)
    assert consumer.processed == {PLACE: 5}
    consumer.done(batch(5, 6), 7)
    assert consumer.processed == {PLACE: 7}
    await consumer.commit_and_end_transactions()
    await consumer.commit_and_end_transactions()
    assert consumer.committed[0] == {PLACE: 7}
    assert consumer.committed[1] == {}


async def test_a_revoke_waits_for_the_batch_in_flight_and_commits_it() -> None:
    consumer = Consuming(5)

    async def process() -> None:
        with consumer.busy():
            await asyncio.sleep(0.05)
            consumer.done(batch(5, 6), 7)

    task = asyncio.create_task(process())
    await asyncio.sleep(0)
    await consumer.wait_empty()
    assert consumer.committed == [{PLACE: 7}]
    await task


async def test_a_revoke_does_not_wait_for_ever() -> None:
    consumer = Consuming(5)
    with consumer.busy():
        await asyncio.wait_for(consumer.wait_empty(), 1)
    assert consumer.committed == [{PLACE: 5}]


async def test_a_partition_with_two_batches_outstanding_is_left_out_of_the_fetch() -> None:
    consumer = Consuming(5)
    other = TP("users", 0)
    consumer._active_partitions = {PLACE, other}
    consumer.outstanding[PLACE] = 2
    assert consumer._fetchable() == {other}
    consumer.done(batch(5, 6))
    assert consumer._fetchable() == {PLACE, other}


async def test_while_partitions_are_being_moved_tables_alone_are_fetched() -> None:
    consumer = Consuming(5)
    changelog = TP("changelog", 0)
    consumer._active_partitions = {PLACE, changelog}
    consumer.app.rebalancing = True
    assert consumer._fetchable() == {changelog}
    consumer.app.rebalancing = False
    assert consumer._fetchable() == {PLACE, changelog}


async def test_while_a_standbys_rows_come_every_other_fetch_is_for_events_alone() -> None:
    consumer = Consuming(5)
    changelog = TP("changelog", 0)
    consumer._active_partitions = {PLACE, changelog}
    asked: list[set[TP]] = []

    async def fetch(active_partitions: set[TP], timeout: float) -> Fetched:
        asked.append(active_partitions)
        return Fetched({changelog: [b"a row"]} if changelog in active_partitions else {})

    consumer._getmany = fetch  # type: ignore[method-assign, assignment]
    for _ in range(4):
        await consumer._wait_next_records(1)
    assert asked == [{PLACE, changelog}, {PLACE}, {PLACE, changelog}, {PLACE}]


async def test_a_batch_of_an_older_assignment_is_not_outstanding_in_this_one() -> None:
    consumer = Consuming(5)
    consumer.outstanding[PLACE] = 1
    consumer.done(batch(3, 4, generation=6))
    assert consumer.outstanding[PLACE] == 1


async def test_what_is_kept_in_memory_alone_is_not_committed() -> None:
    consumer = Consuming(5)
    consumer.done(batch(5, 9), 10, durable=6)
    await consumer.commit_and_end_transactions()
    assert consumer.committed == [{PLACE: 6}]
    assert offsets(await consumer.fresh(batch(10, 11))) == [10, 11]


async def test_a_partition_without_a_commit_that_comes_back_begins_at_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def seek_to_committed(self: Consuming) -> None:
        """What Faust does: nothing here is committed."""

    monkeypatch.setattr(driver.Consumer, "perform_seek", seek_to_committed)
    monkeypatch.setattr(Consuming, "_is_changelog_tp", lambda self, tp: False)
    consumer = Consuming(5, earliest=2)
    consumer._seeking = asyncio.Lock()
    # What was processed before it moved away was not committed: its owner since may not have it.
    await consumer.perform_seek()
    assert consumer.sought == [2]
    assert offsets(await consumer.fresh(batch(2, 6, epoch=1))) == [2, 3, 4, 5, 6]


async def test_of_a_topic_that_stands_still_nothing_is_taken_fetched_or_sought() -> None:
    other = TP("letters", 0)
    consumer = Consuming(5)
    consumer._active_partitions = {PLACE, other}
    consumer.stopped.add(PLACE.topic)
    assert consumer._fetchable() == {other}
    assert await consumer.fresh(batch(5, 6)) == ()
    assert await consumer.fresh(batch(9, 9)) == ()
    assert consumer.sought == []
