"""The contract's two equations, by the workers' numbers and by what lies on the topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from dev.chaos.evidence import Evidence
from dev.chaos.verifier import Finding
from dev.cinema.gauges import Gauges
from streams.jobs import FINAL_STATUSES
from streams.kinds import KINDS
from streams.topics import CLOCK, INPUTS

OUTCOMES: Final = ("applied", "decided", "duplicate", "forwarded", "dead")
STATUSES: Final = ("sent", "skipped", "deferred", "retrying", "failed")


def equations(found: Gauges, evidence: Evidence) -> Iterator[Finding]:
    """Yield what does not add up; the clock's records are never all processed."""
    for topic in (topic.name for topic in INPUTS if topic is not CLOCK):
        parts = {
            one: int(found.total("cinema_records", topic=topic, outcome=one)) for one in OUTCOMES
        }
        if sum(parts.values()) != evidence.records[topic]:
            yield Finding("numbers", f"{topic}: {evidence.records[topic]} records, {parts}")
    kinds = {job_id: said[0].kind for job_id, said in evidence.deliveries.items() if said}
    kinds |= {job_id: job.kind for job_id, job in evidence.jobs.items()}
    latest = {job_id: _latest(evidence, job_id) for job_id in kinds}
    for kind in KINDS:
        ids = [job_id for job_id, one in kinds.items() if one == kind]
        counted = int(found.total("cinema_job_ids", kind=kind))
        by = Counter(latest[job_id] for job_id in ids)
        said = {
            one: int(found.shared("cinema_deliveries", kind=kind, status=one)) for one in STATUSES
        }
        seen = {one: by[one] for one in STATUSES}
        if counted != len(ids) or said != seen:
            yield Finding(
                "numbers",
                f"{kind}: {counted} job ids counted and {len(ids)} seen, "
                f"statuses {said} counted and {seen} seen, {by['queued']} queued",
            )


def _latest(evidence: Evidence, job_id: str) -> str:
    said = evidence.deliveries.get(job_id, [])
    finals = [one.status for one in said if one.status in FINAL_STATUSES]
    return finals[0] if finals else said[-1].status if said else "queued"
