"""Paused owners: what they write late counts for nothing, and what it undercut is written again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from faust.types.tuples import TP

from streams.errors import Moved
from streams.heartbeat import LATE, Heartbeat
from streams.ownership import Ownership, header
from streams.state import State
from streams.transport import Batch
from tables.films import Films

PLACE = TP("state-changelog", 0)


def row(offset: int, key: bytes, value: bytes | None, epoch: int) -> ConsumerRecord:
    headers = tuple(header(epoch))
    return ConsumerRecord(PLACE.topic, 0, offset, 0, 0, key, value, None, 0, 0, headers)


class Following:
    """A consumer that has lost nothing."""

    async def follows(self, batch: Batch, expected: int) -> bool:
        return True


class Changelog(State):
    """A state without Faust over a changelog that is a list."""

    def __init__(self) -> None:
        self._films = Films()
        self._default_timezone = "UTC"
        self._tables, self._owners, self._kept, self._active = {}, {}, {0}, {0}
        self.undercut = 0
        self.lines: list[ConsumerRecord] = []
        self.deaths: list[str] = []
        self._fatal = self.deaths.append
        self.app: Any = self
        self.transport = self
        self.consumer = Following()

    changelog = PLACE.topic

    async def send_whole(self, topic: str, partition: int, rows: Any, headers: Any) -> int:
        first = len(self.lines)
        epoch = int.from_bytes(headers[0][1], "big")
        self.lines += [row(first + n, key, value, epoch) for n, (key, value) in enumerate(rows)]
        return first

    async def read(self, topic: str, partition: int, offsets: range) -> list[ConsumerRecord]:
        return [self.lines[offset] for offset in offsets]

    async def recover(self, records: list[ConsumerRecord]) -> None:
        event = type("Event", (), {"value": Batch(PLACE, records, 0, 0, 0)})
        await self.on_changelog_event(event)

    async def watch(self, user: str, seconds: int) -> None:
        """Write one change of one person."""
        from streams.events import Watch

        tables = await self.take(0, self)  # type: ignore[arg-type]
        at = "2026-11-20T10:00:00Z"
        watch = {"user_id": user, "film_id": "f", "seconds": seconds, "at": at}
        import msgspec

        tables.watch_history.record(msgspec.convert(watch, Watch))
        tables.keep()
        await self.write(0, tables, self)  # type: ignore[arg-type]
        tables.merge()

    def seconds(self, user: str) -> list[float]:
        start, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
        history = self.tables(0).watch_history
        row = json.loads(self.tables(0).row(f"watch_history:{user}|2026-11".encode()) or b"{}")
        assert len(history.since(user, start, end)) in (0, len(row.get("watches", [])))
        return [watch[2] for watch in row.get("watches", [])]


def epoch_now(state: Changelog) -> int:
    epoch = state._owners[0].own
    assert epoch is not None
    return epoch


def test_an_epoch_is_larger_than_all_that_was_met_and_follows_the_clock() -> None:
    ownership = Ownership()
    assert ownership.next_epoch() > 1_700_000_000_000
    ownership.admits(row(0, b"k", b"{}", 9_999_999_999_999))
    assert ownership.next_epoch() == 10_000_000_000_000


async def test_recovery_keeps_the_newer_owners_rows_and_knows_what_to_write_again() -> None:
    state = Changelog()
    watches = b'{"watches":[["f",1,%.1f]]}'
    await state.recover(
        [
            row(0, b"watch_history:ann|2026-11", watches % 1, 10),
            row(1, b"watch_history:ann|2026-11", watches % 2, 20),
            row(2, b"watch_history:ann|2026-11", watches % 9, 10),
            row(3, b"watch_history:bob|2026-11", watches % 9, 10),
        ]
    )
    assert (state.seconds("ann"), state.seconds("bob")) == ([2.0], [])
    state.lines = [row(n, b"", b"", 0) for n in range(4)]
    await state.watch("cid", 5)
    written = {record.key: record.value for record in state.lines[4:]}
    assert written[b"watch_history:ann|2026-11"] == watches % 2
    assert written[b"watch_history:bob|2026-11"] is None
    assert state.undercut == 2


async def test_a_new_worker_that_reads_the_mended_log_finds_the_right_rows() -> None:
    state = Changelog()
    await state.watch("ann", 1)
    epoch = epoch_now(state)
    state.lines.append(
        row(len(state.lines), b"watch_history:ann|2026-11", b'{"watches":[["f",1,9]]}', epoch - 5)
    )
    await state.watch("bob", 2)
    successor = Changelog()
    # Compaction may have kept the last row of each key alone.
    last = {record.key: record for record in state.lines}
    await successor.recover(sorted(last.values(), key=lambda record: record.offset))
    assert (successor.seconds("ann"), successor.seconds("bob")) == ([1.0], [2.0])


async def test_who_finds_a_successors_rows_between_its_own_ends() -> None:
    state = Changelog()
    await state.watch("ann", 1)
    epoch = epoch_now(state)
    state.lines.append(
        row(len(state.lines), b"watch_history:ann|2026-11", b'{"watches":[]}', epoch + 5)
    )
    await state.watch("ann", 2)
    assert "has a new owner" in state.deaths[0]


async def test_rows_of_ones_own_that_a_retry_wrote_twice_do_no_harm() -> None:
    state = Changelog()
    await state.watch("ann", 1)
    state.lines.append(row(len(state.lines), b"x:", b"{}", epoch_now(state)))
    await state.watch("ann", 2)
    assert state.deaths == []
    assert state.undercut == 0


async def test_a_batch_whose_partition_was_taken_away_writes_nothing() -> None:
    state = Changelog()
    await state.watch("ann", 1)
    tables = state.tables(0)
    before = len(state.lines)
    state._tables.clear()
    with pytest.raises(Moved):
        await state.write(0, tables, state)  # type: ignore[arg-type]
    state._active.clear()
    with pytest.raises(Moved):
        await state.take(0, state)  # type: ignore[arg-type]
    assert len(state.lines) == before


def test_a_process_that_was_stopped_longer_than_it_may_be_ends_before_it_sends() -> None:
    deaths: list[str] = []
    time = [100.0]
    heartbeat = Heartbeat(deaths.append, lambda: time[0])
    # As after its start, without the thread that would beat.
    heartbeat._stopped.clear()
    time[0] += LATE
    heartbeat.check()
    assert deaths == []
    time[0] += 0.1
    heartbeat.check()
    assert "was stopped for 3.1 s" in deaths[0]


async def test_what_a_killed_owner_wrote_last_is_loaded_when_the_fence_is_written() -> None:
    state = Changelog()
    watches = b'{"watches":[["f",1,%.1f]]}'
    await state.recover([row(0, b"watch_history:ann|2026-11", watches % 1, 10)])
    # Its request was under way when it was killed, and came after the recovery's end.
    state.lines = [
        row(0, b"watch_history:ann|2026-11", watches % 1, 10),
        row(1, b"watch_history:ann|2026-11", watches % 2, 10),
    ]
    await state.take(0, state)  # type: ignore[arg-type]
    assert state.seconds("ann") == [2.0]
    assert state.lines[2].key == b"fence:"
    await state.take(0, state)  # type: ignore[arg-type]
    assert len(state.lines) == 3
    assert state.undercut == 0


async def test_what_comes_behind_the_fence_is_a_paused_owners_for_every_reader() -> None:
    state = Changelog()
    await state.watch("ann", 1)
    late = row(len(state.lines), b"watch_history:bob|2026-11", b'{"watches":[["f",1,9.0]]}', 5)
    state.lines.append(late)
    successor = Changelog()
    successor.lines = list(state.lines)
    await successor.recover(successor.lines)
    assert (successor.seconds("ann"), successor.seconds("bob")) == ([1.0], [])
