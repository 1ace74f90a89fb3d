"""Commits follow what was processed, and partitions go on from there when they have moved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from faust.types.tuples import TP

from streams.following import Following

logger = logging.getLogger(__name__)


class Committing(Following):
    """Commits `processed`, and nothing that is still in flight."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seeking = asyncio.Lock()
        self._busy = 0
        #: Set while no batch is being processed.
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def in_flight(self) -> int:
        """How many batches, and slices of other work, are being processed now."""
        return self._busy

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Hold off a revoke, a commit at its end and a stop while a batch is in flight."""
        self._busy += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self.idle.set()

    async def wait_empty(self) -> None:
        """Wait for the batches in flight, not for those that wait, and commit."""
        if self._busy:
            # Who waits until the rebalance's end is put out of the group, and cannot commit.
            limit = self.app.conf.broker_rebalance_timeout / 2
            try:
                await asyncio.wait_for(self.idle.wait(), limit)
            except TimeoutError:
                logger.warning("a batch was still in flight after %s s: left to its owner", limit)
        await self.commit_and_end_transactions()

    async def perform_seek(self) -> None:
        """Go back to the committed offsets, to the beginning where there are none.

        Both the fetcher and the recovery call it, at times at once: in turn, and each ends with a
        seek to where `processed` stands. Else one would set `processed` back behind a position that
        the other has let go on, and nothing would come until another record does.
        """
        async with self._seeking:
            await super().perform_seek()
            self.outstanding.clear()
            self.processed.clear()
            self.durable.clear()
            mine = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
            for tp in mine:
                offset = self._committed_offset[tp]
                if offset is not None and offset >= 0:
                    self.processed[tp] = offset
            # Else a batch that is dropped before the first commit would never be missed.
            new = [tp for tp in mine if tp not in self.processed]
            if new:
                for key, offset in (await self.earliest_offsets(*new)).items():
                    self.processed[TP(key.topic, key.partition)] = offset
            places = {tp: self.processed[tp] for tp in mine if tp in self.processed}
            if places:
                await self.seek_wait(places)
            for tp in places:
                self._epoch[tp] += 1

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self.processed))

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        if not self.processed:
            # Perhaps not even started: there is no assignment to ask for.
            return {}
        assignment = self.assignment()
        offsets = {tp: self.durable.get(tp, self.processed[tp]) for tp in tps if tp in assignment}
        return {
            tp: offset
            for tp, offset in offsets.items()
            if offset > (self._committed_offset[tp] or 0)
        }

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        # Everything before `processed` is acknowledged: there is nothing to flush first.
        committed: bool = await self._commit(offsets)
        if committed:
            self._committed_offset.update(offsets)
        return committed

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Book no gaps: `fresh` knows them."""
