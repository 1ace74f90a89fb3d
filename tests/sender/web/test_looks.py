"""Every page of the sender as people's programs have it: no barriers and no mistakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis

from sender.links import ConfirmLinks, LinkMaker
from sender.render import Renderer
from sender.samples import KIND_OF, sample_job, sample_links
from streams.links import PREFERENCES, UNSUBSCRIBE, Tokens
from streams.settings import Settings
from tests.browser import MARKS, barriers_of, opened
from tests.markup import mistakes, needs_java
from tests.sender.web.conftest import KEY, Client, Neighbours, Start, welcome

pytestmark = MARKS

Gather = Callable[[str], Awaitable[dict[str, str]]]
#: By language, so that each is seen on a desk or on a phone.
SIZES = {"en": {"width": 1280, "height": 900}, "ru": {"width": 390, "height": 844}}

OPERATOR = {"Authorization": f"Bearer {KEY}", "Accept": "text/html"}
# A mail is a part of its client's page, which has them; in a mail they would be there twice.
LANDMARKS = ("landmark-one-main", "region")


@pytest.fixture
async def base(client: Client) -> str:
    return str(client.make_url("")).rstrip("/")


@pytest.fixture
def gather(client: Client, neighbours: Neighbours, redis: Redis, settings: Settings) -> Gather:
    """Return a way to get every page in a language, in each of its states, by name."""
    sign = Tokens(settings.link_secret).sign

    async def pages(lang: str) -> dict[str, str]:
        job = welcome()
        await ConfirmLinks(redis, settings).store([job])
        confirm = f"/confirm/{LinkMaker(settings).code(job)}"
        leave = f"/unsubscribe/{sign(UNSUBSCRIBE, ['u', 'tip'])}"
        choose = f"/preferences/{sign(PREFERENCES, ['u'])}"
        found: dict[str, str] = {}

        async def get(name: str, path: str, status: int = 200, **form: Any) -> None:
            method = "POST" if form else "GET"
            url = f"{path}?lang={lang}"
            response = await client.request(
                method, url, data=form or None, headers=OPERATOR, allow_redirects=False
            )
            assert response.status == status, name
            found[f"{name}-{lang}"] = await response.text()

        await get("viewer", "/viewer")
        await get("confirm", confirm)
        await get("confirm-gone", "/confirm/none", 404)
        await get("unsubscribe", leave)
        await get("unsubscribe-done", leave, reason="")
        await get("unsubscribe-undone", leave, undo="1")
        await get("unsubscribe-gone", "/unsubscribe/none", 404)
        await get("preferences", choose)
        await get("preferences-saved", choose, locale="en")
        await get("preferences-same", choose, tip="")
        await get("preferences-wrong", choose, 422, timezone="Mars")
        neighbours.broker_is_away = True
        await get("later", confirm, 503, undo="1")
        await get("preview", f"/preview/tip/{lang}")
        await get("preview-none", "/preview/none/en", 404)
        return found

    return pages


@pytest.fixture(scope="module")
def mails() -> dict[str, str]:
    """Give the HTML of every mail by its name."""
    settings = Settings(
        mail_from="Cinema <noreply@cinema.example>",
        public_url="https://n.cinema.example",
        cinema_url="https://cinema.example/",
    )
    renderer = Renderer(settings)
    jobs = [sample_job(name, locale) for name in sorted(KIND_OF) for locale in ("en", "ru")]
    return {
        f"mail-{job.template}-{job.locale}": renderer.render(job, sample_links(job, settings)).html
        for job in jobs
    }


@pytest.mark.parametrize("lang", ["en", "ru"])
async def test_no_page_keeps_anybody_out(
    browser: Browser, base: str, gather: Gather, lang: str
) -> None:
    pages = await gather(lang)
    # Empty without its script: see test_browser.py.
    del pages[f"viewer-{lang}"]
    assert await barriers_of(browser, base, pages, viewport=SIZES[lang]) == {}


@pytest.mark.parametrize("lang", ["en", "ru"])
async def test_no_mail_keeps_anybody_out(
    browser: Browser, base: str, mails: dict[str, str], lang: str
) -> None:
    ours = {name: html for name, html in mails.items() if name.endswith(lang)}
    assert await barriers_of(browser, base, ours, but=LANDMARKS, viewport=SIZES[lang]) == {}


async def test_a_long_address_in_a_finding_breaks_where_the_window_ends(
    browser: Browser, start: Start
) -> None:
    # A bare number in a link is what filters dislike: the whole link is named.
    client = await start(public_url="http://192.0.2.1:6067")
    page = await (await client.get("/preview/tip/en", headers=OPERATOR)).text()
    assert "http://192.0.2.1:6067/unsubscribe/" in page
    base = str(client.make_url("")).rstrip("/")
    assert await barriers_of(browser, base, {"preview": page}, viewport=SIZES["ru"]) == {}


@pytest.mark.parametrize("lang", ["en", "ru"])
async def test_a_page_of_a_few_lines_does_not_scroll(
    browser: Browser, base: str, lang: str
) -> None:
    page = await opened(browser, f"{base}/unsubscribe/none?lang={lang}", viewport=SIZES[lang])
    assert not await page.evaluate("document.documentElement.scrollHeight > innerHeight")


@needs_java
async def test_the_checker_finds_no_mistake_in_pages_and_mails(
    gather: Gather, neighbours: Neighbours, mails: dict[str, str], tmp_path: Path
) -> None:
    pages = await gather("en")
    neighbours.broker_is_away = False
    assert await mistakes({**pages, **await gather("ru"), **mails}, tmp_path) == []
