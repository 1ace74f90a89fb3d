"""Floods and guesses at a streams worker, and what an attacker writes to get around the limits."""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv6Address, ip_network
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from streams.limits import LOGIN, Limits
from streams.serving import connect
from streams.web.asking import Address, origin_of
from streams.web.limiter import COUNTED, mark
from streams.web.peers import ROUTED
from tests.narrow import ADDRESS, FLOOD, narrow  # noqa: F401
from tests.streams.web.conftest import KEY, SECRET, Client, Neighbours, Start

LOOPBACK = ip_network("127.0.0.0/8")


async def statuses(client: Client, times: int, path: str = "/login", **said: str) -> list[int]:
    async def one() -> int:
        async with client.get(path, headers=said) as answer:
            return answer.status

    return await asyncio.gather(*(one() for _ in range(times)))


async def guess(client: Client, **said: str) -> int:
    async with client.post("/login", data={"key": "a-guess"}, headers=said) as answer:
        return answer.status


async def metric(client: Client, by: str) -> float:
    async with client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = f'cinema_limited_total{{by="{by}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


async def test_one_address_floods_and_another_is_served(start: Start) -> None:
    client: Client = await start(trusted_proxies=(LOOPBACK,))
    found = await statuses(client, FLOOD, **{"X-Forwarded-For": "192.0.2.7"})
    assert ADDRESS.burst <= found.count(200) < FLOOD
    assert set(found) == {200, 429}
    assert await statuses(client, 50, **{"X-Forwarded-For": "192.0.2.8"}) == [200] * 50
    assert await metric(client, "address") == found.count(429)


async def test_who_is_over_a_limit_is_told_when_to_come_again(client: Client) -> None:
    async def ask() -> tuple[int, str | None, Any]:
        async with client.get("/campaigns") as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return answer.status, answer.headers.get("Retry-After"), await answer.json()

    found = await asyncio.gather(*(ask() for _ in range(FLOOD)))
    refused = [one for one in found if one[0] != 401]
    assert refused
    told = {"error_code": 429, "message": "too many requests"}
    assert all(one == (429, "1", told) for one in refused)


async def flood_as(client: Client, said: str) -> list[int]:
    """Flood with another address in X-Forwarded-For each time; return the statuses."""

    async def one(number: int) -> int:
        forwarded = {"X-Forwarded-For": said.format(f"198.51.100.{number % 250}")}
        async with client.get("/login", headers=forwarded) as answer:
            return answer.status

    return await asyncio.gather(*(one(number) for number in range(FLOOD)))


async def test_a_forged_x_forwarded_for_buys_nothing(client: Client) -> None:
    assert 429 in await flood_as(client, "{}")


async def test_what_a_client_writes_before_its_proxys_own_word_buys_nothing(start: Start) -> None:
    client: Client = await start(trusted_proxies=(LOOPBACK,))
    assert 429 in await flood_as(client, "{}, 192.0.2.7")


async def test_a_forged_word_of_a_worker_buys_nothing(start: Start) -> None:
    client = await start()
    await statuses(client, FLOOD)
    for forged in ({ROUTED: "1"}, {COUNTED: "1"}, {COUNTED: "é"}, {"X-Real-IP": "192.0.2.1"}):
        assert 429 in await statuses(client, 20, **forged)


async def test_what_a_worker_asks_for_somebody_was_counted_where_it_came_in(
    start: Start, settings: Any
) -> None:
    client = await start()
    await statuses(client, FLOOD)
    assert await statuses(client, 20, **{COUNTED: mark(settings)}) == [200] * 20


async def test_a_person_whom_another_worker_has_is_counted_once(
    start: Start, neighbours: Neighbours
) -> None:
    other = Neighbours(statistics={"u": {"user_id": "u"}})
    owner = await start(other)
    neighbours.owners["u"] = str(owner.make_url("/"))
    client = await start()
    found = await statuses(client, 50, "/users/u/statistics", Authorization=f"Bearer {token('u')}")
    # Counted at both workers, the person would have had half of their burst.
    assert found == [200] * 50


async def test_login_guesses_are_slowed(client: Client) -> None:
    start = time.monotonic()
    found = [await guess(client) for _ in range(3 * LOGIN.burst)]
    passed = found.count(401)
    assert LOGIN.burst <= passed <= LOGIN.burst + (time.monotonic() - start) * LOGIN.a_second
    assert found.count(429) == len(found) - passed
    assert await metric(client, "login") == found.count(429)
    # The page itself is still shown.
    assert await statuses(client, 1) == [200]


async def test_a_key_that_may_only_post_guesses_no_faster(client: Client) -> None:
    said = {"Authorization": "Bearer key-that-may-only-post"}
    found = [await guess(client, **said) for _ in range(3 * LOGIN.burst)]
    assert found.count(429) > LOGIN.burst


async def test_who_guesses_on_ipv6_has_no_more_tries_for_having_many_addresses(
    start: Start,
) -> None:
    client: Client = await start(trusted_proxies=(LOOPBACK,))
    found = [
        await guess(client, **{"X-Forwarded-For": f"2001:db8::{number:x}"})
        for number in range(3 * LOGIN.burst)
    ]
    assert found.count(429) > LOGIN.burst


async def test_a_known_key_is_not_held_back_by_a_flood_from_its_address(client: Client) -> None:
    await statuses(client, FLOOD)
    said = {"Authorization": f"Bearer {KEY}"}
    assert await statuses(client, 2 * FLOOD, "/campaigns", **said) == [200] * 2 * FLOOD


async def test_an_unknown_key_is_counted_by_its_address(client: Client) -> None:
    found = [
        *await statuses(client, FLOOD, "/campaigns", Authorization="Bearer a-guess-of-16-bytes")
    ]
    assert set(found) == {401, 429}


async def test_a_person_floods_from_many_addresses_and_another_person_is_served(
    start: Start, neighbours: Neighbours
) -> None:
    neighbours.statistics = {"u": {"user_id": "u"}, "v": {"user_id": "v"}}
    client: Client = await start(trusted_proxies=(LOOPBACK,))

    async def one(user_id: str, number: int) -> int:
        said = {
            "X-Forwarded-For": f"192.0.2.{number % 250}",
            "Authorization": f"Bearer {token(user_id)}",
        }
        async with client.get(f"/users/{user_id}/statistics", headers=said) as answer:
            return answer.status

    found = await asyncio.gather(*(one("u", number) for number in range(FLOOD)))
    assert set(found) == {200, 429}
    assert await one("v", 1) == 200
    assert await metric(client, "user") == found.count(429)


async def test_probes_and_parts_of_pages_are_free(client: Client) -> None:
    await statuses(client, FLOOD)
    for path in ("/health/live", "/health/ready", "/metrics", "/static/pages.css"):
        assert 429 not in await statuses(client, 5, path), path


async def test_programs_on_this_machine_are_a_key_where_the_intake_believes_them(
    start: Start,
) -> None:
    client = await start(intake_loopback=True)
    assert await statuses(client, FLOOD) == [200] * FLOOD
    assert [await guess(client) for _ in range(30)] == [401] * 30
    # Somebody behind a proxy here is not on this machine.
    assert 429 in await statuses(client, FLOOD, **{"X-Forwarded-For": "127.0.0.1"})


async def test_redis_gone_does_not_close_the_intake(
    start: Start, unused_tcp_port: int, neighbours: Neighbours
) -> None:
    away = connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    client = await start(limits=Limits(away))
    began = time.monotonic()
    for number in range(20):
        async with client.post(
            "/topics/activity",
            data=b'{"records": [{"value": {"user_id": "u", "body": "b"}}]}',
            headers={
                "Authorization": f"Bearer {KEY}",
                "Content-Type": "application/vnd.kafka.json.v2+json",
            },
        ) as answer:
            assert answer.status == 200, number
    assert len(neighbours.written) == 20
    assert time.monotonic() - began < 2
    await away.aclose()


# -- whose request it is

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def origin(peer: str | None, *forwarded: str) -> str:
    class Transport:
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (peer, 1) if name == "peername" and peer else default

    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request = make_mocked_request("GET", "/", headers=headers, transport=Transport())
    return origin_of(request, PROXIES)


@pytest.mark.parametrize(
    ("peer", "forwarded", "whose"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["198.51.100.9, 10.9.9.9"], "198.51.100.9"),
        ("10.0.0.1", ["198.51.100.9", "192.0.2.3,10.9.9.9"], "192.0.2.3"),
        ("10.0.0.1", ["10.0.0.7"], "10.0.0.7"),
        ("10.0.0.1", ["198.51.100.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9, 203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7:4711, 10.9.9.9:80, [fd00::7]:443, [fd00::8]"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.9, [2001:db8::1]:443"], "2001:db8::/64"),
        ("10.0.0.1", ["198.51.100.9, 203.0.113.7:"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9, [203.0.113.7]:80"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9, [2001:db8::1"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.3"], "192.0.2.3"),
        ("2001:db8:0:7:aaaa::1", [], "2001:db8:0:7::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, [], "None"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_whose_request_it_is(
    peer: str | None, forwarded: list[str], whose: str
) -> None:
    assert origin(peer, *forwarded) == whose


def entry(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


@given(st.ip_addresses(), st.integers(0, 65535))
def test_a_port_beside_an_address_changes_nothing(address: Address, port: int) -> None:
    bare = origin("10.0.0.1", f"198.51.100.9, {address}")
    assert origin("10.0.0.1", f"198.51.100.9, {entry(address, port)}") == bare


@given(st.ip_addresses(), st.integers(0, 65535), st.data())
def test_who_stands_in_an_entry_that_cannot_be_read_is_the_proxy(
    address: Address, port: int, data: st.DataObject
) -> None:
    whole = entry(address, port)
    at = data.draw(st.integers(0, len(whole)))
    wrong = data.draw(st.sampled_from("gxz_-/\"'@[]"))
    assert origin("10.0.0.1", f"198.51.100.9, {whole[:at]}{wrong}{whole[at:]}") == "10.0.0.1"


def token(user_id: str) -> str:
    return jwt.encode({"sub": user_id, "exp": int(time.time()) + 60}, SECRET, "HS256")
