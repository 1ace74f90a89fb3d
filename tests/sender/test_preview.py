from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sender.catalogue import TEMPLATES
from sender.render import Renderer
from sender.web.preview import make_preview
from streams.settings import Settings

SETTINGS = Settings(
    mail_from="Cinema <noreply@cinema.example>",
    public_url="https://n.cinema.example",
    cinema_url="https://cinema.example/",
)
Client = TestClient[web.Request, web.Application]
Start = Callable[[Path], Awaitable[Client]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return what serves the previews of the templates in a folder."""
    clients: list[Client] = []

    async def started(folder: Path) -> Client:
        app = web.Application()
        handler = make_preview(Renderer(SETTINGS, folder), SETTINGS)
        app.router.add_get("/preview/{template}/{locale}", handler)
        client: Client = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return client

    yield started
    for client in clients:
        await client.close()


@pytest.fixture
async def client(start: Start) -> Client:
    return await start(TEMPLATES)


async def test_the_page_shows_subject_headers_both_parts_and_the_size(client: Client) -> None:
    answer = await client.get("/preview/statistics/ru")
    page = await answer.text()
    source = await (await client.get("/preview/statistics/ru?part=source")).read()
    assert answer.status == 200
    assert "<h1>Ваш октябрь в кино</h1>" in page
    assert "Auto-Submitted: auto-generated" in page
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in page
    assert "14 фильмов, 23 часа 36 минут перед экраном." in page
    assert f"{len(source)} bytes" in page
    assert re.search(r'<iframe src="\?part=html" sandbox title="', page)
    assert 'href="../statistics/en"' in page


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
    assert "default-src 'none'" in policy_of_page
    assert "script-src" not in policy_of_page
    nonce = re.search(r"style-src 'nonce-([^']+)'", policy_of_page)
    assert nonce
    assert f'<style nonce="{nonce[1]}">' in await page.text()
    other = await client.get("/preview/tip/en")
    assert other.headers["Content-Security-Policy"] != policy_of_page

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
    answer = await (await start(folder)).get("/preview/lottery/en")
    assert answer.status == 500
    assert "lottery/en/subject.txt: UndefinedError: &#39;prize&#39; is undefined" in (
        await answer.text()
    )
