"""`/status`: how things stand in all workers, on one page that refreshes itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from streams.errors import RedisUnavailable
from streams.jobs import STATUSES
from streams.kinds import BULK, KINDS, URGENT
from streams.metrics import Row
from streams.roll import SENDER, STREAMS
from streams.topics import OUTBOX, OUTBOX_URGENT
from streams.web.operators import Operators
from streams.web.pages import Pages
from streams.web.peers import Peers
from streams.web.readings import Rates, Reading, pivot, read, summed, total
from streams.web.site import Site

LANES: Final = {URGENT: OUTBOX_URGENT.name, BULK: OUTBOX.name}


class Status:
    """The page."""

    def __init__(self, site: Site, operators: Operators, pages: Pages, peers: Peers) -> None:
        """Take what the handler needs."""
        self._site = site
        self._operators = operators
        self._pages = pages
        self._peers = peers
        self._rates = Rates()

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_get("/status", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """Show what the workers wait for, lanes, outcomes, campaigns and numbers."""
        if (refusal := self._operators.closed(request)) is not None:
            return refusal
        readings, campaigns, statuses = await asyncio.gather(
            read(self._site, self._peers), self._operators.known(request), self._statuses()
        )
        rows = {
            app: [row for one in readings if one.app == app for row in one.rows]
            for app in (STREAMS, SENDER)
        }
        decided = summed(rows[STREAMS], "job_ids", "kind")
        whole = statuses is not None and all(one.health for one in readings)
        rates = self._rates.take(totals(rows[STREAMS], statuses or {}) if whole else None)
        return self._pages.page(
            request,
            "status",
            rooms=self._operators.rooms(request),
            workers=readings,
            figures=figures(rows[STREAMS]),
            rates=rates,
            lanes=[lane(name, topic, readings) for name, topic in LANES.items()],
            outcomes=None if statuses is None else outcomes(decided, statuses),
            statuses=STATUSES,
            campaigns=campaigns,
            records=pivot(rows[STREAMS], "records", "topic", "outcome"),
            lags={app: summed(found, "lag", "topic") for app, found in rows.items()},
        )

    async def _statuses(self) -> Mapping[str, Mapping[str, int]] | None:
        """Return the jobs' latest statuses by kind, None while Redis is away."""
        try:
            return await self._site.statuses()
        except RedisUnavailable:
            return None


def totals(rows: Sequence[Row], statuses: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Return what rates are of: records and decisions of the books, and what was sent."""
    return {
        "records": total(rows, "records"),
        "decisions": total(rows, "job_ids"),
        "sent": sum(found.get("sent", 0) for found in statuses.values()),
    }


def figures(rows: Sequence[Row]) -> dict[str, int]:
    """Return the numbers at the head of the page, over all partitions."""
    return {
        "people": total(rows, "users"),
        "held": total(rows, "deferred"),
        "walks": total(rows, "walks_open"),
        "dead": total(rows, "records", outcome="dead"),
    }


def lane(name: str, topic: str, readings: Sequence[Reading]) -> dict[str, Any]:
    """Return what the senders say of a lane; `waiting` is None where none serves it."""
    rows = [row for one in readings if one.app == SENDER for row in one.rows]
    prefix = f"lane {name}: "
    served = any(row.name == "lag" and row.labels["topic"] == topic for row in rows)
    return {
        "name": name,
        "waiting": total(rows, "lag", topic=topic) if served else None,
        "paused": [
            reason.removeprefix(prefix)
            for one in readings
            for reason in (one.health.paused if one.health else ())
            if reason.startswith(prefix)
        ],
        "open": sorted(
            {
                row.labels["server"]
                for row in rows
                if row.name == "smtp_circuit"
                and row.value
                and row.labels["lane"] == name
                and row.labels["state"] != "closed"
            }
        ),
    }


def outcomes(
    decided: Mapping[str, int], statuses: Mapping[str, Mapping[str, int]]
) -> dict[str, list[int]]:
    """Return by kind: decided, queued (no delivery yet), and the jobs of each status."""
    found = {}
    for kind in KINDS:
        numbers = [statuses.get(kind, {}).get(status, 0) for status in STATUSES]
        all_of = decided.get(kind, 0)
        # What was read a moment later may be more: no kind has fewer than nothing queued.
        found[kind] = [all_of, max(all_of - sum(numbers), 0), *numbers]
    return found
