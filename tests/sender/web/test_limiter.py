"""Floods of a sender's websocket and forms."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest
from aiohttp import WSServerHandshakeError, web
from aiohttp.test_utils import TestServer

from sender.web.line import TRY_LATER
from streams.limits import Limits
from streams.links import PREFERENCES, Tokens
from streams.serving import connect
from streams.settings import Settings
from streams.web.limiter import COUNTED, mark
from tests.narrow import FLOOD, FORM, USER, narrow  # noqa: F401
from tests.sender.web.conftest import Client, Neighbours, Start, ended, hello, token

LOOPBACK = ip_network("127.0.0.0/8")


async def test_a_flood_of_sockets_is_refused_before_the_upgrade(client: Client) -> None:
    async def knock() -> None:
        async with client.get("/viewer"):
            pass

    await asyncio.gather(*(knock() for _ in range(FLOOD)))
    attempts = [client.ws_connect("/ws") for _ in range(50)]
    found = await asyncio.gather(*attempts, return_exceptions=True)
    refused = [one for one in found if isinstance(one, WSServerHandshakeError)]
    assert refused
    assert {one.status for one in refused} == {429}
    assert all(one.headers is not None and one.headers["Retry-After"] == "1" for one in refused)


async def test_a_person_who_opens_sockets_without_end_is_told_to_come_later(start: Start) -> None:
    client = await start(trusted_proxies=(LOOPBACK,))
    codes = []
    for number in range(2 * USER.burst):
        said = {"X-Forwarded-For": f"192.0.2.{number}"}
        opened = await client.ws_connect("/ws", headers=said)
        await opened.send_json({"token": token("u")})
        if (await opened.receive_json())["type"] == "error":
            codes.append(await ended(opened))
        await opened.close()
    assert codes
    assert set(codes) == {TRY_LATER}
    other = await hello(client, "v")
    assert (await other.receive_json())["type"] == "hello"


@pytest.mark.parametrize(
    "path", ["/confirm/a-code", "/unsubscribe/a-token", "/preferences/a-token"]
)
async def test_a_flood_of_forms_is_held_to_a_few_a_second(client: Client, path: str) -> None:
    async def post() -> int:
        async with client.post(path, data={"renew": "1"}) as answer:
            return answer.status

    found = await asyncio.gather(*(post() for _ in range(4 * FORM.burst)))
    assert found.count(429) > FORM.burst
    # Looking is not posting.
    async with client.get(path) as answer:
        assert answer.status == 404


async def test_what_a_page_asks_of_a_streams_worker_was_counted_here(
    client: Client, neighbours: Neighbours, settings: Settings
) -> None:
    heard = []

    async def tell(request: web.Request) -> web.Response:
        heard.append(request.headers.get(COUNTED))
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/preferences/{token}", tell)
    link = Tokens(settings.link_secret).sign(PREFERENCES, ["u"])
    async with TestServer(app) as server:
        neighbours.streams.append(str(server.make_url("")))
        async with client.get(f"/preferences/{link}"):
            assert heard == [mark(settings)]


async def test_redis_gone_does_not_close_the_pages(start: Start, unused_tcp_port: int) -> None:
    away = connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    client = await start(limits=Limits(away))
    for _ in range(3):
        async with client.get("/viewer") as answer:
            assert answer.status == 200
    await away.aclose()
