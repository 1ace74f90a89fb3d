"""Health, metrics, and what every answer has in common."""

from __future__ import annotations

import pytest
import tzdata
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from streams.errors import RedisUnavailable
from streams.metrics import Metrics, Row
from tests.streams.web.conftest import Client, Neighbours


async def test_a_worker_that_turns_is_alive(client: Client, neighbours: Neighbours) -> None:
    neighbours.waits.append("tables")
    assert (await client.get("/health/live")).status == 200


async def test_a_worker_is_ready_when_it_waits_for_nothing(
    client: Client, neighbours: Neighbours
) -> None:
    assert (await client.get("/health/ready")).status == 200
    neighbours.waits.extend(("tables", "broker"))
    response = await client.get("/health/ready")
    assert response.status == 503
    assert await response.json() == {"ready": False, "waits_for": ["tables", "broker"]}


async def test_a_probe_that_hangs_is_not_ready(
    client: Client, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.web.health.PROBE_SECONDS", 0.05)
    neighbours.hangs = True
    assert (await client.get("/health/ready")).status == 503


async def test_metrics_show_what_others_count_under_our_prefix(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.rows += [
        Row("records", {"topic": "users", "outcome": "decided"}, 7, "Records by outcome."),
        Row("records", {"topic": "users", "outcome": "duplicate"}, 1, "Records by outcome."),
    ]
    text = await (await client.get("/metrics")).text()
    assert 'cinema_records{outcome="decided",topic="users"} 7.0' in text or (
        'cinema_records{topic="users",outcome="decided"} 7.0' in text
    )
    names = [family.name for family in text_string_to_metric_families(text)]
    assert names
    assert all(name.startswith("cinema_") for name in names)


async def test_metrics_without_redis_show_the_workers_own() -> None:
    async def away() -> list[Row]:
        raise RedisUnavailable("away")

    text = (await Metrics(away).render()).decode()
    assert "cinema_rows_missing 1.0" in text
    assert f'cinema_tzdata_info{{version="{tzdata.IANA_VERSION}"}} 1.0' in text
    assert "cinema_process_cpu_seconds_total" in text


async def test_answers_are_counted_by_route_and_never_by_path(client: Client) -> None:
    await client.get("/users/a-persons-id/statistics")
    text = await (await client.get("/metrics")).text()
    assert 'route="/users/{user_id}/statistics",status="401"' in text
    assert "a-persons-id" not in text


@pytest.mark.parametrize(
    "path",
    ["/", "/nope", "/topics", "/router/", "/stats/", "/table/", "/ws", "/static/../pages.py"],
)
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert (await response.json())["error_code"] == 404


@pytest.mark.parametrize(
    "name",
    [
        "../texts/en.json",
        "..%2Ftexts%2Fen.json",
        "%2e%2e%2ftexts%2fen.json",
        "..%5Ctexts%5Cen.json",
        "%2Fetc%2Fpasswd",
        "pages.css%00.js",
        "./pages.css/../../texts/en.json",
    ],
)
async def test_no_name_of_a_static_file_climbs_out_of_its_folder(client: Client, name: str) -> None:
    assert (await client.get(URL(f"/static/{name}", encoded=True))).status == 404


async def test_another_method_is_405(client: Client) -> None:
    response = await client.delete("/campaigns")
    assert response.status == 405
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/health/live", "/nope", "/login", "/static/pages.css"])
async def test_every_answer_has_the_security_headers(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


async def test_a_failure_shows_nothing_of_the_inside(
    client: Client,
) -> None:
    headers = {"Authorization": "Bearer key-that-may-do-everything"}
    response = await client.get("/users/unheard-of/statistics", headers=headers)
    assert response.status == 500
    assert await response.json() == {"error_code": 500, "message": "internal error"}


async def test_metrics_may_be_asked_for_by_name(client: Client, neighbours: Neighbours) -> None:
    neighbours.rows += [Row("films", {}, 60), Row("lag", {"topic": "users"}, 1)]
    await client.get("/health/live")
    asked = [("name[]", "cinema_films"), ("name[]", "cinema_http_requests_total")]
    text = await (await client.get("/metrics", params=asked)).text()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"cinema_films", "cinema_http_requests"} <= names
    assert not any("lag" in name or "process" in name for name in names)
