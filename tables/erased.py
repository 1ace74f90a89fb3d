"""Who was erased: nothing of the person, but that what comes after it is another life.

Someone who comes back is greeted again, under another job id than in the life before: whoever
counts job ids would else take two mails for one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from streams.jobs import Job
from streams.topics import RETENTION
from tables.expiring import Dated, Expiring

# As long as Redis remembers what became of a job: two spans (streams/lua/deliveries_fold.lua).
REMEMBERED: Final = 2 * RETENTION


class ErasedRow(Dated, frozen=True):
    """When a person was erased last, and by which record: it names the life that comes after."""

    life: str


class Erased(Expiring[ErasedRow]):
    """Erasures by user."""

    name = "erased"
    row = ErasedRow
    kept = REMEMBERED

    def life(self, user_id: str) -> str:
        """Return what tells a person's life from those before it; empty for the first."""
        row = self.get(user_id)
        return row.life if row is not None else ""

    def covers(self, job: Job) -> bool:
        """Tell whether a job is of a life before; the rule is the ledger's."""
        row = self.get(job.user_id)
        return row is not None and job.created_at.timestamp() <= row.at

    def add(self, user_id: str, life: str, now: datetime) -> None:
        """Remember that a person was erased by that record."""
        self[user_id] = ErasedRow(now.timestamp(), life)
