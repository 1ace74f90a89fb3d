"""The viewer in a real browser, beside the whole stack."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import pytest
from playwright.async_api import expect

from tests.browser import MARKS, launched, opened
from tests.integration.cinema import Cinema

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session"), *MARKS]

NOTICES = 20
# Aim: 300 ms on a machine that does nothing else. The limit tells a page that is pushed to from one
# that polls, or waits for something to time out, on whatever machine.
LIMIT_SECONDS = 5.0
# Each row's text with the moment of its arrival, as the browser's clock has it: the same as ours.
WATCH = """() => {
  window.rows = {};
  new MutationObserver(() => {
    for (const body of document.querySelectorAll(".entry-body")) {
      window.rows[body.textContent] ??= Date.now() / 1000;
    }
  }).observe(document.getElementById("list"), { childList: true });
}"""


async def test_an_event_is_a_row_in_the_page_within_moments(cinema: Cinema) -> None:
    user = cinema.name()
    sent: dict[str, float] = {}
    # The browser of a run lives in another loop than the stack.
    async with launched() as browser:
        page = await opened(browser, f"{cinema.sender}/viewer#token={cinema.token(user)}")
        await expect(page.locator("#state")).to_have_attribute("data-state", "on")
        await page.evaluate(WATCH)
        for number in range(NOTICES):
            sent[f"notice {number}"] = time.time()
            await cinema.send("activity", {"user_id": user, "body": f"notice {number}"}, user)
            await asyncio.sleep(0.1)
        await expect(page.locator(".entry")).to_have_count(NOTICES, timeout=20_000)
        rows: dict[str, float] = await page.evaluate("window.rows")
    took = sorted(rows[body] - then for body, then in sent.items())
    print(f"event to row: p50 {median(took) * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms")
    assert median(took) < LIMIT_SECONDS
