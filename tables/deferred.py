"""Jobs that rest until they are due: outside a window, or to be tried again."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from heapq import heapify, heappop, heappush

import msgspec

from streams.jobs import Job
from tables.view import View


class DeferredRow(msgspec.Struct, frozen=True):
    """One job that rests; `not_before` in it says until when."""

    job: Job

    @property
    def due(self) -> float:
        """When the job is due, in epoch seconds."""
        assert self.job.not_before is not None
        return self.job.not_before.timestamp()


class Deferred(View[DeferredRow]):
    """Jobs by job id, with a heap by due time."""

    name = "deferred"
    row = DeferredRow

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, str]] = []
        #: The job ids that rest for each user.
        self.by_user: defaultdict[str, set[str]] = defaultdict(set)

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return up to `limit` ids of jobs that are due, the longest due first.

        They stay in the heap until their rows are gone, so asking twice gives the same.
        """
        heap, entries = self._heap, []
        found: dict[str, None] = {}
        while heap and heap[0][0] <= now.timestamp() and len(found) < limit:
            entry = heappop(heap)
            row = self.rows.get(entry[1])
            if row is not None and row.due == entry[0]:
                entries.append(entry)
                # Not those that the batch in hand has released or put off: that may be undone.
                if self.get(entry[1]) is row:
                    found[entry[1]] = None
        for entry in entries:
            heappush(heap, entry)
        return list(found)

    def forget(self, user_id: str) -> list[Job]:
        """Erase the jobs that rest for a person, and return them."""
        keys = dict.fromkeys(self.by_user.get(user_id, ()))
        keys |= {
            key: None for key, row in self.changes.items() if row and row.job.user_id == user_id
        }
        gone = []
        for key in keys:
            row = self.get(key)
            if row is not None:
                gone.append(row.job)
                del self[key]
        return gone

    def index(self, key: str, old: DeferredRow | None, new: DeferredRow | None) -> None:
        if old is not None:
            self.by_user[old.job.user_id].discard(key)
            if not self.by_user[old.job.user_id]:
                del self.by_user[old.job.user_id]
        if new is not None:
            heappush(self._heap, (new.due, key))
            self.by_user[new.job.user_id].add(key)

    def rebuild(self) -> None:
        self._heap = [(row.due, key) for key, row in self.rows.items()]
        heapify(self._heap)
        self.by_user.clear()
        for key, row in self.rows.items():
            self.by_user[row.job.user_id].add(key)
