"""The page on time is true: each of its tables is lived through, row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.jobs import Cause, Delivery, Job
from tests.streams.world import World

PAGE = Path(__file__).resolve().parents[2] / "docs/time.md"
HEADER = "| UTC | what happens | what is said |"
CAMPAIGN = re.compile(
    r"`(?P<name>\w+)` (?:is a new campaign: (?P<kind>\w+), |gets )(?P<form>cron|at|local_at) "
    r"`(?P<when>[^`]+)`(?:, for timezones (?P<zones>.+))?"
)


def tables() -> Iterator[Any]:
    """Yield the rows of each table, named by the heading above it."""
    heading, rows = "", []
    for line in [*PAGE.read_text("utf-8").splitlines(), ""]:
        if line.startswith("#"):
            heading = line.strip("# ")
        elif line.startswith("| 2"):
            rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
        elif rows and not line.startswith("|"):
            yield pytest.param(rows, id=f"{heading}, {rows[0][0]}")
            rows = []


class Narrated:
    """A world that does what a row says, and says what followed."""

    def __init__(self) -> None:
        self.world = World(partitions=1)
        self.campaigns: dict[str, dict[str, Any]] = {}
        self._told: set[object] = set()

    async def live(self, at: datetime, event: str) -> None:
        """Let it be that time, and let the event come."""
        if event == "the worker runs with `CINEMA_CLOCK=wall`":
            self.world = World(partitions=1, clock="wall")
        await self.world.tick(at)
        if event.startswith("the worker is killed"):
            self.world.committed.clear()
            self.world.start()
        elif found := re.fullmatch(r"a tick of (.+) comes", event):
            self.world.put("clock", {"at": f"{found[1]}:00Z"})
        elif event == "everyone is reminded by hand":
            self.world.put("weekly_reminder", {"event": "send_reminder"})
        elif found := CAMPAIGN.fullmatch(event):
            self._plan(found)
        elif found := re.fullmatch(r"`(\w+)` is (disabled|deleted)", event):
            value = self.campaigns[found[1]] | {"enabled": False}
            self._put(found[1], None if found[2] == "deleted" else value)
        elif event and "CINEMA_CLOCK" not in event:
            self._person(*event.split(" ", 1))
        await self.world.run()

    def _person(self, user: str, event: str) -> None:
        if found := re.fullmatch(r"lives in (\S+)", event):
            profile = {"user_id": user, "email": f"{user}@example.com", "timezone": found[1]}
            self.world.put("users", profile, key=user)
            self.world.put("films", {"film_id": "f", "title": "A film"}, key="f")
            return
        choice: dict[str, Any]
        if found := re.fullmatch(r"moves to (\S+)", event):
            choice = {"timezone": found[1]}
        elif found := re.fullmatch(r"is quiet from (\S+) to (\S+)", event):
            choice = {"quiet_hours": {"from": found[1], "to": found[2]}}
        else:
            found = re.fullmatch(r"unsubscribes from (\w+)", event)
            assert found, f"nobody knows what to do about {event!r}"
            choice = {"unsubscribe": [found[1]]}
        self.world.put("preferences", {"user_id": user, **choice})

    def _plan(self, found: re.Match[str]) -> None:
        known = self.campaigns.get(found["name"], {"campaign_id": found["name"]})
        value = known | {found["form"]: found["when"], "context": {"body": "hi"}}
        if found["kind"]:
            value["kind"] = found["kind"]
        if found["zones"]:
            value["audience"] = {"timezones": found["zones"].split(" and ")}
        self.campaigns[found["name"]] = value
        self._put(found["name"], value)

    def _put(self, name: str, value: dict[str, Any] | None) -> None:
        self.world.put("campaigns", value, key=name)

    def news(self) -> list[str]:
        """Return what is said since it was last asked."""
        found: dict[object, str] = {}
        for job in self.world.jobs():
            found[job.job_id, "sent"] = f"{job.user_id}: {said(job)}"
        for job in self.world.held():
            assert job.not_before is not None
            until = f"{job.not_before:%Y-%m-%d %H:%M:%S}"
            found[job.job_id, "held"] = f"{job.user_id}: {said(job)} waits until {until}"
        for one in self.world.deliveries():
            if one.status == "skipped":
                found[one.job_id, "skipped"] = f"{one.user_id}: skipped: {one.reason}"
        for letter in self.world.values("dead_letters"):
            _, _, why = letter["error"].partition(": ")
            found["dead", letter["topic"], letter["offset"]] = f"dead letter: {why}"
        news = [text for key, text in found.items() if key not in self._told]
        self._told |= set(found)
        return sorted(dict.fromkeys(news))


def said(one: Job | Delivery) -> str:
    """Return an occurrence as the page writes it, or what kind a trigger said."""
    cause: Cause = one.cause
    name, _, local = (cause.event_id or "").partition("@")
    if not local:
        return f"`{one.kind}`"
    first, _, second = local.partition("/")
    at = datetime.fromisoformat(first)
    again = ""
    if second:
        at, again = datetime.fromisoformat(f"{first[:10]}T{second}"), " again"
    return f"`{name}` of {at:%Y-%m-%d %H:%M}{' UTC' if at.tzinfo else ''}{again}"


@pytest.mark.parametrize("rows", list(tables()))
async def test_what_the_page_on_time_says_is_so(rows: list[tuple[str, str, str]]) -> None:
    narrated = Narrated()
    for time, event, expected in rows:
        at = datetime.fromisoformat(time).replace(tzinfo=UTC)
        await narrated.live(at, event)
        assert "; ".join(narrated.news()) == expected, f"{time}: {event}"


def test_every_table_of_the_page_is_run() -> None:
    assert PAGE.read_text("utf-8").count(HEADER) == len(list(tables())) >= 12
