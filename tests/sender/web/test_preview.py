"""`/preview/{template}/{locale}`: what an operator sees of a mail before it is sent."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sender.catalogue import TEMPLATES
from tests.sender.web.conftest import KEY, Client, Neighbours, Start

READER = {"Authorization": f"Bearer {KEY}"}
ANN: dict[str, Any] = {
    "user_id": "ann/1",
    "to": "ann@cinema.example",
    "locale": "ru",
    "timezone": "Europe/Berlin",
    "now": "2026-11-22T12:00:00+00:00",
    "context": {"username": "Ann <b>", "month": "2026-10", "films": 3},
    "refusal": "unsubscribed",
}


@pytest.fixture
async def client(start: Start) -> Client:
    client: Client = await start()
    client.session.headers.update(READER)
    return client


@pytest.fixture
async def asked(neighbours: Neighbours) -> AsyncIterator[list[web.Request]]:
    """Let a streams worker know one person, and return what it is asked."""
    requests: list[web.Request] = []

    async def tell(request: web.Request) -> web.Response:
        requests.append(request)
        if request.match_info["user"] == "nobody":
            return web.json_response(ANN | {"user_id": "nobody", "to": None})
        return web.json_response(ANN)

    app = web.Application()
    app.router.add_get("/users/{user}/preview/{template}", tell)
    async with TestServer(app) as server:
        neighbours.streams.append(str(server.make_url("")))
        yield requests


async def test_a_persons_own_data_are_shown_and_nothing_is_sent(
    client: Client, neighbours: Neighbours, asked: list[web.Request]
) -> None:
    page = await (await client.get("/preview/statistics/en?user=ann/1")).text()
    assert "With this person’s data as they are now" in page
    assert "It would not be sent: <strong>unsubscribed</strong>" in page
    assert 'src="?part=html&amp;user=ann/1"' in page
    source = await (await client.get("/preview/statistics/en?user=ann/1&part=source")).text()
    mail = message_from_bytes(source.encode(), policy=policy.default)
    assert mail["To"] == "ann@cinema.example"
    plain, rich = mail.iter_parts()
    assert "Ann <b>" in plain.get_content()
    assert "Ann &lt;b&gt;" in rich.get_content()
    assert asked[0].match_info["user"] == "ann/1"
    # Whoever asks is looked at by the worker that has the data, too.
    assert asked[0].headers["Authorization"] == READER["Authorization"]
    assert neighbours.written == []


@pytest.mark.usefixtures("asked")
async def test_who_is_not_known_is_said_and_the_sample_is_shown(client: Client) -> None:
    page = await (await client.get("/preview/tip/en?user=nobody")).text()
    assert "Nobody is known under this id" in page
    assert "To: anna@example.org" in page


async def test_with_no_streams_worker_the_sample_is_shown(client: Client) -> None:
    page = await (await client.get("/preview/tip/en?user=ann")).text()
    assert "cannot be had just now" in page
    assert "To: anna@example.org" in page


async def test_nobody_elses_data_are_had_without_the_right_to_read(
    start: Start, asked: list[web.Request]
) -> None:
    client = await start()
    for headers in ({}, {"Authorization": "Bearer key-that-may-only-post"}):
        response = await client.get("/preview/tip/en?user=ann/1", headers=headers)
        assert response.status in (401, 403)
    assert asked == []


async def test_a_browser_is_shown_the_way_to_the_door(start: Start) -> None:
    client = await start(streams_url="https://streams.cinema.example")
    response = await client.get("/preview/tip/en", headers={"Accept": "text/html"})
    assert response.status == 401
    assert 'href="https://streams.cinema.example/login"' in await response.text()


async def test_what_may_bring_it_into_a_spam_folder_is_said(start: Start, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    (folder / "tip" / "en" / "subject.txt").write_text("BUY NOW TODAY!!", "utf-8")
    client = await start(folder=folder)
    page = await (await client.get("/preview/tip/en", headers=READER)).text()
    assert "The subject is in capitals: BUY NOW TODAY!!" in page
    assert "The subject shouts: BUY NOW TODAY!!" in page


async def test_the_page_shows_subject_headers_both_parts_and_the_size(client: Client) -> None:
    answer = await client.get("/preview/statistics/ru")
    page = await answer.text()
    source = await (await client.get("/preview/statistics/ru?part=source")).read()
    assert answer.status == 200
    assert "<h1>Ваш октябрь в кино</h1>" in page
    assert "Auto-Submitted: auto-generated" in page
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in page
    assert "14 фильмов, 23 часа 36 минут перед экраном." in page
    (size,) = re.findall(r"<dt>Source</dt><dd[^>]*>([\d.,]+) kB", page)
    assert float(size.replace(",", ".")) == pytest.approx(len(source) / 1000, abs=0.06)
    assert "Nothing was found." in page
    assert re.search(r'<iframe class="mail" src="\?part=html" sandbox title="', page)
    assert 'href="../statistics/en"' in page


@pytest.mark.parametrize("streams_url", ["https://months.cinema.example", None])
async def test_the_months_are_linked_where_people_reach_them_and_nowhere_else(
    start: Start, streams_url: str | None
) -> None:
    client = await start(streams_url=streams_url)
    answer = await client.get("/preview/statistics/en?part=text", headers=READER)
    text = await answer.text()
    assert ("/me/" in text) == bool(streams_url)
    assert f"{streams_url or 'https://cinema.example'}/" in text


async def test_every_part_can_be_had_as_it_is(client: Client) -> None:
    html = await client.get("/preview/tip/en?part=html")
    text = await client.get("/preview/tip/en?part=text")
    source = await client.get("/preview/tip/en?part=source")
    assert (html.content_type, text.content_type, source.content_type) == (
        "text/html",
        "text/plain",
        "text/plain",
    )
    message = message_from_bytes(await source.read(), policy=policy.default)
    plain, rich = message.iter_parts()
    assert message["Subject"] == "A film for you: “Nosferatu”"
    assert plain.get_content().replace("\r\n", "\n") == await text.text()
    assert rich.get_content().replace("\r\n", "\n") == await html.text()


async def test_neither_the_page_nor_the_mail_may_run_a_script(client: Client) -> None:
    page = await client.get("/preview/tip/en")
    policy_of_page = page.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy_of_page
    assert "<script" not in await page.text() and "<style" not in await page.text()

    mail = await client.get("/preview/tip/en?part=html")
    assert mail.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    for answer in (page, mail):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["tip/de", "no_such/en", "pages/en", "..%2Ftip/en", "tip/..%2F..%2Ftip", "%3Cscript%3E/en"],
)
async def test_what_does_not_exist_is_a_404_page(client: Client, path: str) -> None:
    answer = await client.get(f"/preview/{path}")
    page = await answer.text()
    assert answer.status == 404
    assert "<script>" not in page
    assert "No such template" in page or "Not Found" in page


async def test_an_unknown_part_is_a_404(client: Client) -> None:
    assert (await client.get("/preview/tip/en?part=else")).status == 404


async def test_a_template_that_raises_shows_its_cause(start: Start, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    home = folder / "lottery" / "en"
    home.mkdir(parents=True)
    (home / "subject.txt").write_text("{{ prize }}", "utf-8")
    client = await start(folder=folder)
    answer = await client.get("/preview/lottery/en", headers=READER)
    assert answer.status == 500
    assert "lottery/en/subject.txt: UndefinedError: &#39;prize&#39; is undefined" in (
        await answer.text()
    )
