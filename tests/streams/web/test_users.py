"""`GET /users/{user_id}/…`: who may ask, and how any worker answers for any person."""

from __future__ import annotations

import time

import jwt
import pytest
from redis.asyncio import Redis
from yarl import URL

from streams.events import now_utc
from streams.links import Tokens
from streams.revocations import Revocations, of_token
from tests.streams.web.conftest import KEY, SECRET, Client, Neighbours, Start, delivery

AUTH = {"Authorization": f"Bearer {KEY}"}
STATISTICS = {"user_id": "u", "timezone": "Europe/Berlin", "films": 3, "seconds": 9000}


def token(user_id: object, **claims: object) -> dict[str, str]:
    payload = {"sub": user_id, "exp": int(time.time()) + 60} | claims
    return {"Authorization": f"Bearer {jwt.encode(payload, SECRET, 'HS256')}"}


@pytest.fixture(autouse=True)
def _known(neighbours: Neighbours) -> None:
    neighbours.statistics["u"] = STATISTICS
    neighbours.deliveries["u"] = [delivery("u", "sent", "250"), delivery("u", "skipped", "stale")]


async def test_a_key_reads_a_persons_month(client: Client) -> None:
    response = await client.get("/users/u/statistics?month=2026-10", headers=AUTH)
    assert await response.json() == STATISTICS | {"month": "2026-10"}


async def test_a_person_reads_their_own_with_their_own_token(client: Client) -> None:
    assert (await client.get("/users/u/statistics", headers=token("u"))).status == 200
    assert (await client.get("/users/u/deliveries", headers=token("u"))).status == 200


@pytest.mark.parametrize("path", ["statistics", "deliveries"])
async def test_nothing_of_one_person_is_readable_by_another(client: Client, path: str) -> None:
    assert (await client.get(f"/users/u/{path}", headers=token("v"))).status == 403


@pytest.mark.parametrize("path", ["statistics", "deliveries"])
async def test_without_key_or_token_it_is_401(client: Client, path: str) -> None:
    assert (await client.get(f"/users/u/{path}")).status == 401
    wrong = {"Authorization": "Bearer not-a-key-of-ours"}
    assert (await client.get(f"/users/u/{path}", headers=wrong)).status == 401


async def test_a_revoked_token_reads_nothing_any_more(client: Client, redis: Redis) -> None:
    headers = token("u", jti="stolen")
    assert (await client.get("/users/u/statistics", headers=headers)).status == 200
    await Revocations(redis).fold([(of_token("stolen"), now_utc())])
    for path in ("statistics", "deliveries"):
        assert (await client.get(f"/users/u/{path}", headers=headers)).status == 401
    assert (await client.get("/users/u/statistics", headers=token("u"))).status == 200


async def test_while_nobody_can_tell_what_was_revoked_no_token_reads(
    client: Client, redis: Redis
) -> None:
    await redis.delete("filled")
    response = await client.get("/users/u/statistics", headers=token("u"))
    assert (response.status, "Retry-After" in response.headers) == (503, True)
    assert (await client.get("/users/u/statistics", headers=AUTH)).status == 200


async def test_an_expired_token_is_401(client: Client) -> None:
    headers = token("u", exp=int(time.time()) - 1)
    assert (await client.get("/users/u/statistics", headers=headers)).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/users/u/statistics",
        "/users/u/deliveries",
        "/users/u/preferences",
        "/users/u/preview/tip",
        "/campaigns",
        "/status",
    ],
)
async def test_a_key_that_may_only_post_does_not_read(client: Client, path: str) -> None:
    headers = {"Authorization": "Bearer key-that-may-only-post"}
    assert (await client.get(path, headers=headers)).status == 403


@pytest.mark.parametrize("path", ["/campaigns", "/status", "/users/u/preview/tip"])
async def test_a_persons_token_does_not_open_what_is_the_operators(
    client: Client, path: str
) -> None:
    assert (await client.get(path, headers=token("u"))).status == 401


async def test_a_persons_token_does_not_post(client: Client, neighbours: Neighbours) -> None:
    headers = token("u") | {"Content-Type": "application/vnd.kafka.json.v2+json"}
    body = {"records": [{"value": {"event": "send_reminder"}}]}
    response = await client.post("/topics/weekly_reminder", json=body, headers=headers)
    assert (response.status, neighbours.written) == (401, [])


@pytest.mark.parametrize(
    "path", ["/users/v%2F..%2Fu/statistics", "/users/v/../u/statistics", "/users/./u/statistics"]
)
async def test_a_path_that_climbs_does_not_reach_another_person(client: Client, path: str) -> None:
    answer = await client.get(URL(path, encoded=True), headers=token("v"))
    assert answer.status in (403, 404)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "october", "", "2026-10-01", "2026-10\n"])
async def test_a_month_that_is_none_is_400(client: Client, month: str) -> None:
    response = await client.get("/users/u/statistics", params={"month": month}, headers=AUTH)
    assert response.status == 400


async def test_deliveries_say_why_each_was_or_was_not_sent(client: Client) -> None:
    response = await client.get("/users/u/deliveries", headers=AUTH)
    rows = await response.json()
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("sent", "250"),
        ("skipped", "stale"),
    ]


async def test_any_worker_answers_by_asking_the_owner(start: Start) -> None:
    owner = Neighbours(statistics={"a/b ?": STATISTICS})
    owning = await start(owner)
    elsewhere = Neighbours(owners={"a/b ?": str(owning.make_url("/"))})
    asked = await start(elsewhere)
    url = "/users/a%2Fb%20%3F/statistics?month=2026-10"
    response = await asked.get(url, headers=AUTH)
    assert await response.json() == STATISTICS | {"month": "2026-10"}
    assert (await asked.get(url, headers=token("a/b ?"))).status == 200
    assert (await asked.get(url, headers=token("u"))).status == 403


async def test_a_routed_request_is_not_routed_again(start: Start) -> None:
    """Two workers that each take the other for the owner must not ask each other for ever."""
    there, here = Neighbours(), Neighbours()
    first, second = await start(there), await start(here)
    there.owners["u"], here.owners["u"] = str(second.make_url("/")), str(first.make_url("/"))
    response = await first.get("/users/u/statistics", headers=AUTH)
    assert response.status == 503
    assert "Retry-After" in response.headers


async def test_an_owner_that_is_gone_is_503_with_retry_after(
    client: Client, neighbours: Neighbours, unused_tcp_port: int
) -> None:
    neighbours.owners["u"] = f"http://127.0.0.1:{unused_tcp_port}"
    response = await client.get("/users/u/statistics", headers=AUTH)
    assert response.status == 503
    assert "Retry-After" in response.headers


async def test_while_recovering_it_is_503_with_retry_after(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.recovering = True
    response = await client.get("/users/u/statistics", headers=AUTH)
    assert response.status == 503
    assert "Retry-After" in response.headers


async def test_a_token_of_a_link_opens_nothing_here(client: Client) -> None:
    link = Tokens("a-secret-for-links-in-mails").sign("statistics", ["u"])
    headers = {"Authorization": f"Bearer {link}"}
    assert (await client.get("/users/u/statistics", headers=headers)).status == 401


# -- preferences and previews

CHOSEN = {"user_id": "u", "locale": "ru"}


@pytest.fixture
def _choosing(neighbours: Neighbours) -> None:
    neighbours.preferences["u"] = CHOSEN


def link(purpose: str = "preferences", user_id: str = "u") -> str:
    return f"/preferences/{Tokens('a-secret-for-links-in-mails').sign(purpose, [user_id])}"


@pytest.mark.usefixtures("_choosing")
async def test_what_holds_for_a_person_is_told_to_readers_and_to_the_person(client: Client) -> None:
    for headers in (AUTH, token("u")):
        response = await client.get("/users/u/preferences", headers=headers)
        assert await response.json() == CHOSEN
    assert (await client.get("/users/u/preferences", headers=token("v"))).status == 403
    assert (await client.get("/users/u/preferences")).status == 401


@pytest.mark.usefixtures("_choosing")
async def test_the_link_of_a_mail_opens_the_persons_own_preferences(client: Client) -> None:
    assert await (await client.get(link())).json() == CHOSEN
    for other in (link("unsubscribe"), link("months"), link() + "x"):
        assert (await client.get(other)).status == 404


@pytest.mark.usefixtures("_choosing")
async def test_any_worker_asks_the_owner_for_what_holds(
    start: Start, neighbours: Neighbours
) -> None:
    owner = await start(neighbours)
    asked = await start(Neighbours(owners={"u": str(owner.make_url("/"))}))
    assert await (await asked.get(link())).json() == CHOSEN
    preview = await asked.get("/users/u/preview/tip", headers=AUTH)
    assert await preview.json() == {"user_id": "u", "template": "tip"}


async def test_a_preview_of_a_person_is_for_readers_alone(client: Client) -> None:
    assert (await client.get("/users/u/preview/tip", headers=AUTH)).status == 200
    for headers in ({}, token("u"), {"Authorization": "Bearer key-that-may-only-post"}):
        response = await client.get("/users/u/preview/tip", headers=headers)
        assert response.status in (401, 403)
