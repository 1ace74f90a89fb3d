"""The operators' pages in a real browser: at a desk and on a phone, by day and by night."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from playwright.async_api import Browser, Page, expect

from streams.metrics import Row
from streams.topics import INPUTS
from tests.browser import MARKS, opened
from tests.streams.web.conftest import KEY, Client, Neighbours
from tests.streams.web.test_operators import CAMPAIGN, FORM

pytestmark = MARKS

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# The longest names there are, and so the widest table.
ZONES = sorted(available_timezones(), key=len)[-40:]


@pytest.fixture(autouse=True)
def _known(neighbours: Neighbours) -> None:
    following = {
        place: datetime(2026, 11, 27, 18, tzinfo=ZoneInfo(place)).astimezone(UTC).isoformat()
        for place in ZONES
    }
    neighbours.campaigns += [
        CAMPAIGN | FORM | {"campaign_id": name, "next": following}
        for name in ("weekly_reminder", f"a-long-name-{'0123456789' * 8}", "tips")
    ]


async def campaigns(browser: Browser, client: Client, **context: Any) -> Page:
    """Return the page of campaigns, by the keyboard alone."""
    page = await opened(browser, str(client.make_url("/campaigns")), **context)
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_an_operator_reads_the_campaigns_by_keyboard(
    browser: Browser, client: Client, scheme: str, size: dict[str, int]
) -> None:
    page = await campaigns(browser, client, color_scheme=scheme, viewport=size)
    assert await page.evaluate("document.documentElement.scrollWidth") == size["width"]
    first = page.get_by_role("table").first
    await expect(first).to_be_hidden()
    await page.keyboard.press("Tab")
    for _ in range(4):
        if await page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(first).to_be_visible()
    await expect(first.get_by_role("row")).to_have_count(len(ZONES) + 1)
    assert await page.evaluate("document.documentElement.scrollWidth") == size["width"]


async def test_the_status_page_refreshes_and_the_reader_stays_where_they_are(
    browser: Browser, client: Client, neighbours: Neighbours
) -> None:
    neighbours.rows += [
        Row("records", {"topic": topic.name, "outcome": outcome, "partition": "0"}, 1)
        for topic in INPUTS
        for outcome in ("applied", "decided", "duplicate", "forwarded", "dead")
    ]
    page = await opened(browser, str(client.make_url("/login")), viewport=PHONE)
    await page.get_by_label("API key").fill(KEY)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/status")
    table = page.get_by_role("region", name="Records by how they ended")
    await table.focus()
    await table.evaluate("found => { found.scrollLeft = 100; found.scrollIntoView() }")
    before = await page.evaluate("scrollY")
    neighbours.rows.append(Row("records", {"topic": "a", "outcome": "dead", "partition": "0"}, 41))
    neighbours.waits.append("redis: does not answer")
    await expect(table.get_by_role("cell", name="41")).to_have_count(1, timeout=10_000)
    await expect(page.get_by_text("redis: does not answer")).to_be_visible()
    await expect(table).to_be_focused()
    assert await table.evaluate("found => found.scrollLeft") == 100
    # Above it a line came: the browser keeps what is read in its place.
    assert abs(await page.evaluate("scrollY") - before) < 100


async def test_the_pages_need_no_script(browser: Browser, client: Client) -> None:
    page = await campaigns(browser, client, script=False)
    await expect(page.get_by_role("heading", level=2)).to_have_count(3)
