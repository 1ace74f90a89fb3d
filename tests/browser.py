"""A real browser for tests of pages: what a person sees and can do."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

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
