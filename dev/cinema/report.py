"""The tables at the end: where every record and every notification went, and whether it adds up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
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
# Lines shown of what is wrong with one thing: the first few tell what it is.
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: what was looked at, and what was found wrong with it."""

    name: str
    looked_at: str
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sum:
    """One line of an equation: what there is, and the parts that it should be the sum of."""

    name: str
    total: int
    parts: tuple[int, ...]
    #: The same total, counted by the demo from what lies on the topics.
    seen: int

    @property
    def holds(self) -> bool:
        """Tell whether the parts make the total, and the total is what was seen."""
        return self.total == sum(self.parts) == self.seen


def records(found: Gauges, seen: Seen) -> list[Sum]:
    """Return the contract's first equation for each topic, by the workers' own numbers."""
    sums = []
    for topic in (topic.name for topic in INPUTS):
        parts = tuple(
            int(found.total("cinema_records", topic=topic, outcome=one)) for one in OUTCOMES
        )
        sums.append(Sum(topic, seen.records[topic], parts, seen.records[topic]))
    return sums


def notifications(found: Gauges, seen: Seen) -> list[Sum]:
    """Return the contract's second equation for each kind; the last part is what is queued."""
    queued = Counter(job.kind for job_id, job in seen.jobs.items() if job_id not in seen.statuses)
    kinds = {job_id: status.kind for job_id, status in seen.statuses.items()}
    said = Counter((kinds | {job_id: job.kind for job_id, job in seen.jobs.items()}).values())
    sums = []
    for kind in KINDS:
        parts = tuple(
            int(found.shared("cinema_deliveries", kind=kind, status=one)) for one in STATUSES
        )
        total = int(found.total("cinema_job_ids", kind=kind))
        sums.append(Sum(kind, total, (*parts, queued[kind]), said[kind]))
    return sums


def equations(found: Gauges, seen: Seen) -> Iterator[Check]:
    """Yield whether both equations hold."""
    for name, what, sums in (
        ("records = outcomes", "topics", records(found, seen)),
        ("job ids = statuses", "kinds", notifications(found, seen)),
    ):
        wrong = tuple(
            f"{one.name}: {one.total} counted, {one.seen} seen, parts {one.parts}"
            for one in sums
            if not one.holds
        )
        yield Check(name, f"{len(sums)} {what}", wrong)


def show(console: Console, found: Gauges, seen: Seen, checks: Sequence[Check]) -> None:
    """Print all tables, and what is wrong."""
    console.print(_sums("Records by topic", "records", OUTCOMES, records(found, seen)))
    names = (*STATUSES, "queued")
    console.print(_sums("Notifications by kind", "jobs", names, notifications(found, seen)))
    console.print(_reasons(seen))
    console.print(_dead(seen))
    console.print(_checks(checks))
    for check in checks:
        for line in check.wrong[:SHOWN]:
            console.print(Text(f"{check.name}: {line}", style="red"), soft_wrap=True)
        if len(check.wrong) > SHOWN:
            console.print(f"{check.name}: {len(check.wrong) - SHOWN} more", style="red")


def _sums(title: str, total: str, parts: Sequence[str], sums: Sequence[Sum]) -> Table:
    table = _table(title, "")
    for name in (total, *parts):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("=")
    for one in sums:
        numbers = [str(number) if number else "·" for number in (one.total, *one.parts)]
        table.add_row(one.name, *numbers, "✓" if one.holds else Text("✗", style="red"))
    return table


def _reasons(seen: Seen) -> Table:
    table = _table("Decided against, and what is not final yet", "kind", "status", "reason")
    table.add_column("number", justify="right")
    counted = Counter(
        (status.kind, status.status, VARIABLE.sub("…", status.reason))
        for status in seen.statuses.values()
        if status.status != "sent"
    )
    for row, number in sorted(counted.items()):
        table.add_row(*row, str(number))
    return table


def _dead(seen: Seen) -> Table:
    table = _table("Dead letters", "topic", "error")
    for topic, errors in sorted(seen.dead.items()):
        for error in errors:
            table.add_row(topic, Text(error.replace("\n", " "), overflow="ellipsis", no_wrap=True))
    return table


def _checks(checks: Sequence[Check]) -> Table:
    table = _table("Does it add up?", "checked", "looked at")
    table.add_column("wrong", justify="right")
    for check in checks:
        style = "red" if check.wrong else "green"
        table.add_row(check.name, check.looked_at, Text(str(len(check.wrong)), style=style))
    return table


def _table(title: str, *names: str) -> Table:
    # Narrow enough for the contract's longest names in 80 columns.
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for number, name in enumerate(names):
        table.add_column(name, no_wrap=number == 0)
    return table
