"""`/status`: how things stand in all workers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.metrics import Row
from streams.web.readings import SPAN, Rates
from tests.streams.web.conftest import KEY, Client, Neighbours, Start
from tests.streams.web.test_operators import CAMPAIGN

AUTH = {"Authorization": f"Bearer {KEY}"}
#: What a sender's `/metrics` says.
METRICS = """\
# HELP cinema_lag Records not processed yet.
# TYPE cinema_lag gauge
cinema_lag{partition="0",topic="outbox_urgent"} 3.0
cinema_lag{partition="1",topic="outbox_urgent"} 1200.0
# HELP cinema_smtp_circuit State.
# TYPE cinema_smtp_circuit gauge
cinema_smtp_circuit{lane="urgent",server="mx.example:25",state="open"} 1.0
cinema_smtp_circuit{lane="urgent",server="mx.example:25",state="closed"} 0.0
"""
PAUSED = "lane urgent: no mail server takes mails"


@pytest.fixture
async def sender(neighbours: Neighbours) -> AsyncIterator[dict[str, Any]]:
    """A sender that is ready, and what it says of it."""
    said = {"ready": True, "waits_for": [], "paused": [PAUSED]}

    async def ready(request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        return web.json_response(said)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=METRICS)

    app = web.Application()
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)
    async with TestServer(app) as server:
        neighbours.senders.append(str(server.make_url("")).rstrip("/"))
        yield said


async def text_of(client: Client) -> str:
    """Return what is to be read on the page."""
    response = await client.get("/status", headers=AUTH)
    assert response.status == 200
    return " ".join(re.sub(r"<[^>]*>", " ", await response.text()).split())


def records(topic: str, outcome: str, number: int, partition: str = "0") -> Row:
    return Row("records", {"topic": topic, "outcome": outcome, "partition": partition}, number)


@pytest.mark.usefixtures("sender")
async def test_the_page_adds_up_what_all_workers_say(start: Start, neighbours: Neighbours) -> None:
    there = Neighbours(
        rows=[
            records("users", "decided", 4, "1"),
            records("films", "dead", 2, "1"),
            Row("job_ids", {"kind": "tip", "partition": "1"}, 5),
            Row("deferred", {"partition": "1"}, 7),
        ]
    )
    other = await start(there)
    neighbours.peers.append(str(other.make_url("/")))
    neighbours.waits.append("redis: does not answer")
    neighbours.rows += [
        records("users", "decided", 3),
        Row("job_ids", {"kind": "tip", "partition": "0"}, 6),
        Row("deferred", {"partition": "0"}, 1),
        Row("users", {"partition": "0"}, 300),
        Row("lag", {"topic": "users", "partition": "0"}, 99),
    ]
    neighbours.statuses = {"tip": {"sent": 7, "failed": 1}}
    text = await text_of(await start(neighbours))
    for shown in (
        "streams this one waits for redis: does not answer",
        "ready stands still: lane urgent: no mail server takes mails",
        "urgent 1,203 stands still: no mail server takes mails mail server away: mx.example:25",
        "bulk – no sender serves it",
        "People 300 Jobs that rest 8 Walks under way 0 Dead letters 2",
        # decided, queued, sent, skipped, deferred, retrying, failed
        "tip 11 3 7 0 0 0 1",
        "Topic dead decided films 2 0 users 0 7",
        "Records not processed yet (streams) Topic Number users 99",
        "outbox_urgent 1,203",
    ):
        assert shown in text


@pytest.mark.usefixtures("sender")
async def test_a_worker_that_does_not_answer_is_said_to(
    client: Client, neighbours: Neighbours, unused_tcp_port: int
) -> None:
    neighbours.senders.append(f"http://127.0.0.1:{unused_tcp_port}")
    assert f"sender http://127.0.0.1:{unused_tcp_port} does not answer" in await text_of(client)


async def test_a_worker_that_cannot_say_what_it_waits_for_still_shows_the_page(
    client: Client, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours.hangs = True
    monkeypatch.setattr("streams.web.health.PROBE_SECONDS", 0.01)
    assert "waits for an answer of the broker or Redis" in await text_of(client)


async def test_with_redis_away_the_rest_of_the_page_is_there(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.statuses = None
    neighbours.rows.append(records("users", "decided", 3))
    text = await text_of(client)
    assert "Redis does not answer: these numbers cannot be read just now." in text
    assert "users 3" in text


async def test_the_page_refreshes_itself_with_and_without_a_script(client: Client) -> None:
    page = await (await client.get("/status", headers=AUTH)).text()
    assert '<script src="/static/status.js" defer></script>' in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page


async def test_the_next_instants_read_as_on_the_page_of_campaigns(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.campaigns.append(CAMPAIGN)
    assert "2026-11-27 17:00 " in await (await client.get("/status", headers=AUTH)).text()


async def test_what_a_worker_says_is_text(client: Client, neighbours: Neighbours) -> None:
    neighbours.waits.append("<script>alert(1)</script>")
    page = await (await client.get("/status", headers=AUTH)).text()
    assert "<script>alert" not in page


def test_rates_are_over_the_looks_of_the_last_minute() -> None:
    now = 0.0
    rates = Rates(lambda: now)
    assert rates.take({"sent": 100}) == {}
    now = 5
    assert rates.take({"sent": 150}) == {"sent": 10}
    now = 10
    assert rates.take({"sent": 150}) == {"sent": 5}
    now = SPAN + 6
    # The look at 10 is the oldest by now.
    assert rates.take({"sent": 150 + SPAN - 4}) == {"sent": 1}


def test_no_rate_is_told_of_totals_that_a_worker_is_missing_from() -> None:
    now = 0.0
    rates = Rates(lambda: now)
    rates.take({"sent": 100})
    now = 5
    assert rates.take(None) == {}
    now = 10
    assert rates.take({"sent": 100_000}) == {}
    now = 15
    assert rates.take({"sent": 100_005}) == {"sent": 1}
