"""A real browser for tests of pages: what a person sees and can do."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: The `pytestmark` of modules whose tests want the fixture `browser`.
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH"),
]


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run a browser for as long as the context lasts."""
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, url: str, *, script: bool = True, **context: Any) -> Page:
    """Open a page in a context of its own; a refusal of its policy or an error is a failure."""
    own = await browser.new_context(**{"locale": "en", "java_script_enabled": script, **context})
    page = await own.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on(
        "console",
        lambda said: pytest.fail(said.text) if "Content Security Policy" in said.text else None,
    )
    await page.goto(url)
    return page


async def barriers(page: Page, but: Iterable[str] = ()) -> list[str]:
    """Return what axe-core says keeps somebody out, by day and by night; not by the rules `but`."""
    options = {
        "resultTypes": ["violations"],
        "rules": {rule: {"enabled": False} for rule in but},
    }
    found = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        results = await Axe().run(page, options=options)
        found += [
            f"{scheme}: {violation['id']}: {node['html']}: {node['failureSummary']}"
            for violation in results.response["violations"]
            for node in violation["nodes"]
        ]
    return found


async def barriers_of(
    browser: Browser,
    base: str,
    documents: Mapping[str, str],
    *,
    but: Iterable[str] = (),
    **context: Any,
) -> dict[str, list[str]]:
    """Return the barriers of each document that has any, shown as an answer of that server.

    So they have its style sheet, and they run no script and so send no form. A document that is
    wider than its window is a barrier, too.
    """
    own = await browser.new_context(**context)
    page = await own.new_page()
    await page.route("**/*.js", lambda route: route.abort())
    found = {}
    for name, html in documents.items():
        url = f"{base}/shown/{name}"
        await page.route(url, partial(_answer, html=html))
        await page.goto(url)
        here = await barriers(page, but)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            here.append("wider than its window")
        if here:
            found[name] = here
    await own.close()
    return found


async def _answer(route: Route, *, html: str) -> None:
    await route.fulfill(body=html, content_type="text/html")
