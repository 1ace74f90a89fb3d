"""The tables at the end: where every record and every notification went, and whether it adds up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dev.cinema.gauges import Gauges
from dev.cinema.seen import Seen
from streams.kinds import KINDS
from streams.topics import INPUTS

OUTCOMES: Final = ("applied", "decided", "duplicate", "forwarded", "dead")
STATUSES: Final = ("sent", "skipped", "deferred", "retrying", "failed")
# Of a reason's times, weeks and months only that there is one.
VARIABLE: Final = re.compile(r"\d{4}-\S*")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: what was looked at, and what was found wrong with it."""

    name: str
    looked_at: str
    wrong: tuple[str, ...] = ()


def equations(found: Gauges, seen: Seen) -> Iterator[Check]:
    """Yield both of the contract's equations, for each topic and each kind."""
    wrong = []
    for topic in (topic.name for topic in INPUTS):
        ends = sum(found.total("cinema_records", topic=topic, outcome=one) for one in OUTCOMES)
        if ends != seen.records[topic]:
            wrong.append(f"{topic}: {seen.records[topic]} records, {int(ends)} outcomes")
    yield Check("records = outcomes", f"{len(INPUTS)} topics", tuple(wrong))
    wrong = []
    said = _said(seen)
    for kind in KINDS:
        ids = int(found.total("cinema_job_ids", kind=kind))
        ends = sum(found.total("cinema_deliveries", kind=kind, status=one) for one in STATUSES)
        queued = sum(
            1
            for job_id, job in seen.jobs.items()
            if job.kind == kind and not seen.statuses.get(job_id)
        )
        if ids != ends + queued:
            wrong.append(f"{kind}: {ids} job ids, {int(ends)} with a status, {queued} queued")
        if ids != said[kind]:
            wrong.append(f"{kind}: {ids} job ids counted, {said[kind]} on the topics")
    yield Check("job ids = statuses", f"{len(KINDS)} kinds", tuple(wrong))


def _said(seen: Seen) -> Counter[str]:
    kinds = {job_id: status.kind for job_id, status in seen.statuses.items()}
    kinds |= {job_id: job.kind for job_id, job in seen.jobs.items()}
    return Counter(kinds.values())


def show(console: Console, found: Gauges, seen: Seen, checks: Sequence[Check]) -> None:
    """Print all tables, and each thing that is wrong."""
    for part in (_records(found, seen), _notifications(found), _reasons(seen), _checks(checks)):
        console.print(part)
    for check in checks:
        for line in check.wrong:
            console.print(Text(f"{check.name}: {line}", style="red"))


def _records(found: Gauges, seen: Seen) -> RenderableType:
    table = _table("Records by topic", "topic", "records", *OUTCOMES)
    for topic in (topic.name for topic in INPUTS):
        numbers = [found.total("cinema_records", topic=topic, outcome=one) for one in OUTCOMES]
        table.add_row(topic, *_row(seen.records[topic], *numbers))
    return table


def _notifications(found: Gauges) -> RenderableType:
    table = _table("Notifications by kind", "kind", "job ids", *STATUSES)
    for kind in KINDS:
        numbers = [found.total("cinema_deliveries", kind=kind, status=one) for one in STATUSES]
        table.add_row(kind, *_row(found.total("cinema_job_ids", kind=kind), *numbers))
    return table


def _reasons(seen: Seen) -> RenderableType:
    table = Table(title="Decided against, and what is not final yet", title_justify="left")
    for name in ("kind", "status", "reason"):
        table.add_column(name)
    table.add_column("number", justify="right")
    counted = Counter(
        (status.kind, status.status, VARIABLE.sub("…", status.reason))
        for status in seen.statuses.values()
        if status.status != "sent"
    )
    for (kind, state, reason), number in sorted(counted.items()):
        table.add_row(kind, state, reason, str(number))
    dead = Table(title="Dead letters", title_justify="left")
    for name in ("topic", "error"):
        dead.add_column(name)
    for topic, errors in sorted(seen.dead.items()):
        for error in errors:
            dead.add_row(topic, error[:80])
    return Group(table, dead)


def _checks(checks: Sequence[Check]) -> RenderableType:
    table = Table(title="Does it add up?", title_justify="left")
    for name in ("checked", "looked at", "wrong"):
        table.add_column(name)
    for check in checks:
        style = "red" if check.wrong else "green"
        table.add_row(check.name, check.looked_at, Text(str(len(check.wrong)), style=style))
    return table


def _table(title: str, first: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in names:
        table.add_column(name, justify="right")
    return table


def _row(*numbers: float) -> list[str]:
    return [str(int(number)) if number else "·" for number in numbers]
