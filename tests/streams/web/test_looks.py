"""Every page of the streams worker as people's programs have it: no barriers and no mistakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser
from yarl import URL

from streams.metrics import Row
from streams.settings import Settings
from streams.web import login_link
from tests.browser import MARKS, barriers_of
from tests.markup import mistakes, needs_java
from tests.streams.web.conftest import Client, Neighbours
from tests.streams.web.test_months import link, month_of
from tests.streams.web.test_operators import CAMPAIGN, FORM, PAGE

pytestmark = MARKS

Gather = Callable[[str], Awaitable[dict[str, str]]]
SIZES = {"en": {"width": 1280, "height": 900}, "ru": {"width": 390, "height": 844}}
ASKS = {"locale": "ru", "timezones": ["Asia/Omsk"], "watched": {"genre": "drama", "days": 30}}


@pytest.fixture(autouse=True)
def _known(neighbours: Neighbours) -> None:
    neighbours.statistics_of = month_of  # type: ignore[method-assign]
    neighbours.campaigns += [
        CAMPAIGN | FORM | {"audience": ASKS},
        CAMPAIGN | FORM | {"campaign_id": "off", "enabled": False, "next": {}},
    ]
    neighbours.rows += [
        Row("records", {"topic": "users", "outcome": "decided", "partition": "0"}, 3),
        Row("job_ids", {"kind": "tip", "partition": "0"}, 11),
        Row("lag", {"topic": "users", "partition": "0"}, 99),
        Row("films", {}, 60, "Films in the catalogue."),
    ]


@pytest.fixture
def gather(client: Client, neighbours: Neighbours, settings: Settings) -> Gather:
    """Return a way to get every page in a language, in each of its states, by name."""

    async def pages(lang: str) -> dict[str, str]:
        found: dict[str, str] = {}

        async def get(name: str, path: str, status: int = 200, **form: Any) -> None:
            response = await client.request(
                "POST" if form else "GET",
                path + ("&" if "?" in path else "?") + f"lang={lang}",
                data=form or None,
                headers={"Accept": PAGE["Accept"]} if "login" in path else PAGE,
            )
            assert response.status == status, name
            found[f"{name}-{lang}"] = await response.text()

        await get("login", "/login")
        await get("login-wrong", "/login", 401, key="wrong")
        await get("login-link", URL(login_link(settings)).path_qs)
        await get("campaigns", "/campaigns")
        neighbours.waits.clear()
        await get("status", "/status")
        neighbours.waits.append("redis: does not answer")
        await get("status-waits", "/status")
        await get("months", link())
        await get("months-empty", f"{link()}?month=2026-08")
        await get("months-gone", "/me/none", 404)
        return found

    return pages


@pytest.mark.parametrize("lang", ["en", "ru"])
async def test_no_page_keeps_anybody_out(
    browser: Browser, client: Client, gather: Gather, lang: str
) -> None:
    base = str(client.make_url("")).rstrip("/")
    assert await barriers_of(browser, base, await gather(lang), viewport=SIZES[lang]) == {}


@needs_java
async def test_the_checker_finds_no_mistake(gather: Gather, tmp_path: Path) -> None:
    assert await mistakes({**await gather("en"), **await gather("ru")}, tmp_path) == []
