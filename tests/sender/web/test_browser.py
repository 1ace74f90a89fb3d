"""The pages in a real browser: what a person sees and can do."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from sender.inbox import Draft, Inbox
from sender.links import ConfirmLinks, LinkMaker
from streams.links import Tokens
from streams.settings import Settings
from streams.topics import CONFIRMATIONS, REGISTRATION
from tests.browser import MARKS, barriers, opened
from tests.sender.web.conftest import (
    NOW,
    Client,
    Neighbours,
    Start,
    add,
    token,
    welcome,
)

pytestmark = MARKS


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


@pytest.fixture
def settings(settings: Settings, port: int) -> Settings:
    base = f"http://127.0.0.1:{port}"
    return replace(
        settings,
        public_url=base,
        cinema_url=f"{base}/viewer",
        allowed_origins=frozenset({base}),
    )


@pytest.fixture
async def base(start: Start, port: int) -> str:
    await start(port=port)
    return f"http://127.0.0.1:{port}"


async def test_the_viewer_is_live_and_read_in_all_tabs(
    browser: Browser, base: str, inbox: Inbox
) -> None:
    await add(inbox, 1)
    one, two = [await opened(browser, f"{base}/viewer#token={token()}") for _ in range(2)]
    for tab in (one, two):
        await expect(tab.locator(".entry")).to_have_count(1)
        assert "token" not in tab.url
    await add(inbox, 2)
    for tab in (one, two):
        await expect(tab.locator(".entry")).to_have_count(2)
        await expect(tab.locator("#count")).to_have_text("2")
    await one.locator(".entry .mark").first.click()
    for tab in (one, two):
        await expect(tab.locator("#count")).to_have_text("1")
        await expect(tab.locator(".entry.unread")).to_have_count(1)
    await two.locator("#all").click()
    for tab in (one, two):
        await expect(tab.locator("#count")).to_be_hidden()


@pytest.mark.parametrize("locale", ["en", "ru"])
async def test_the_viewer_keeps_nobody_out(
    browser: Browser, base: str, inbox: Inbox, locale: str
) -> None:
    # What axe-core looks at beside is refused by our own policy.
    page = await opened(browser, f"{base}/viewer", bypass_csp=True, locale=locale)
    await expect(page.locator("#door")).to_be_visible()
    assert await barriers(page) == []
    one, _ = await add(inbox, 1, 2)
    await inbox.read("u", [one.id])
    await page.locator("#token").fill(token())
    await page.keyboard.press("Enter")
    await expect(page.locator(".entry")).to_have_count(2)
    await page.locator(".frames summary").click()
    assert await barriers(page) == []


async def test_markup_and_script_links_in_an_entry_stay_text(
    browser: Browser, base: str, inbox: Inbox
) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    entry = Draft(
        job_id="j",
        kind=nasty,
        title=nasty,
        body=nasty,
        url="javascript:alert(1)",
        created_at=NOW,
    )
    await inbox.add([("u", entry)])
    page = await opened(browser, f"{base}/viewer#token={token()}")
    await expect(page.locator(".entry h2")).to_have_text(nasty)
    await expect(page.locator(".entry img")).to_have_count(0)
    await expect(page.locator(".entry a")).to_be_hidden()


async def test_the_viewer_comes_back_after_a_workers_restart_and_knows_what_was_read_meanwhile(
    browser: Browser, start: Start, inbox: Inbox, port: int
) -> None:
    client: Client = await start(port=port)
    (first, _) = await add(inbox, 1, 2)
    page = await opened(browser, f"http://127.0.0.1:{port}/viewer#token={token()}")
    await expect(page.locator("#state")).to_have_attribute("data-state", "on")
    await expect(page.locator(".entry.unread")).to_have_count(2)
    await client.server.close()
    await expect(page.locator("#state")).to_have_attribute("data-state", "waiting")
    await inbox.read("u", [first.id])
    await add(inbox, 3)
    await start(port=port)
    await expect(page.locator(".entry")).to_have_count(3, timeout=10_000)
    await expect(page.locator(".entry.unread")).to_have_count(2)
    await expect(page.locator("#state")).to_have_attribute("data-state", "on")


async def test_a_token_that_is_not_valid_opens_the_door_again(browser: Browser, base: str) -> None:
    page = await opened(browser, f"{base}/viewer#token={token(seconds=-5)}")
    await expect(page.locator("#door-wrong")).to_be_visible()
    await page.locator("#token").fill(token())
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_have_attribute("data-state", "on")


@pytest.fixture
async def confirm_url(base: str, redis: Redis, settings: Settings) -> str:
    job = welcome()
    await ConfirmLinks(redis, settings).store([job])
    return f"{base}/confirm/{LinkMaker(settings).code(job)}"


@pytest.mark.parametrize("script", [True, False])
async def test_a_person_confirms_by_script_at_once_and_without_by_a_button(
    browser: Browser, base: str, neighbours: Neighbours, confirm_url: str, script: bool
) -> None:
    page = await opened(browser, confirm_url, script=script)
    if not script:
        assert neighbours.written == []
        await page.get_by_role("button").click()
    await page.wait_for_url(f"{base}/viewer")
    assert [written.topic for written in neighbours.written] == [CONFIRMATIONS]


async def test_a_person_unsubscribes_and_takes_it_back(
    browser: Browser, base: str, neighbours: Neighbours, settings: Settings
) -> None:
    sign = Tokens(settings.link_secret).sign
    page = await opened(browser, f"{base}/unsubscribe/{sign('unsubscribe', ['u', 'tip'])}")
    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("heading")).to_have_text("Unsubscribed")
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("heading")).to_have_text("Still subscribed")
    assert [written.value for written in neighbours.written] == [
        b'{"user_id":"u","unsubscribe":["tip"]}',
        b'{"user_id":"u","resubscribe":["tip"]}',
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280], ids=["phone", "desk"])
async def test_a_person_changes_preferences_by_keyboard(
    browser: Browser,
    base: str,
    neighbours: Neighbours,
    settings: Settings,
    scheme: str,
    width: int,
) -> None:
    url = f"{base}/preferences/{Tokens(settings.link_secret).sign('preferences', ['u'])}"
    size = {"width": width, "height": 800}
    page = await opened(browser, url, color_scheme=scheme, viewport=size)
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    # Only what is chosen asks for more.
    await expect(page.get_by_label("No mails from")).to_be_hidden()
    await page.get_by_label("Quiet hours").focus()
    await page.keyboard.type("Set")
    await expect(page.get_by_label("No mails from")).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.type("1130PM")
    await page.get_by_role("button", name="Save").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    await expect(page.get_by_label("No mails from")).to_have_value("23:30")
    assert [written.value for written in neighbours.written] == [
        b'{"user_id":"u","quiet_hours":{"from":"23:30","to":"08:00"}}'
    ]


@pytest.mark.parametrize("script", [True, False])
async def test_a_person_asks_for_a_new_link_with_one_press(
    browser: Browser, neighbours: Neighbours, settings: Settings, confirm_url: str, script: bool
) -> None:
    neighbours.now = NOW + timedelta(days=settings.confirm_days)
    page = await opened(browser, confirm_url, script=script)
    assert neighbours.written == []
    await page.get_by_role("button", name="Send me a new link").click()
    await expect(page.get_by_role("heading")).to_have_text("Look into your mailbox")
    assert [written.topic for written in neighbours.written] == [REGISTRATION]


async def test_a_person_says_why_after_leaving(
    browser: Browser, base: str, neighbours: Neighbours, settings: Settings
) -> None:
    sign = Tokens(settings.link_secret).sign
    page = await opened(browser, f"{base}/unsubscribe/{sign('unsubscribe', ['u', 'tip'])}")
    await page.get_by_role("button", name="Unsubscribe").click()
    await page.get_by_label("Why?").select_option("too_many")
    await page.get_by_role("button", name="Send answer").click()
    await expect(page.get_by_text("Thank you for your answer.")).to_be_visible()
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert neighbours.written[-1].value == (
        b'{"user_id":"u","unsubscribe":["tip"],"reason":"too_many"}'
    )
