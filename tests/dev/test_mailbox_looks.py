"""The mailbox's pages as people's programs have them: no barriers and no mistakes."""

from __future__ import annotations

import smtplib
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from tests.browser import MARKS, barriers_of
from tests.conftest import MailboxAddresses
from tests.dev.test_mailbox import letter
from tests.markup import mistakes, needs_java

pytestmark = MARKS

PHONE = {"width": 390, "height": 844}


@pytest.fixture
async def pages(mailbox: MailboxAddresses) -> dict[str, str]:
    """Give the pages by their names: without a mail, with one, and the mail."""
    found = {}
    async with aiohttp.ClientSession() as session:

        async def get(path: str) -> str:
            async with session.get(mailbox.url + path) as response:
                return await response.text()

        async with session.delete(f"{mailbox.url}/api/v1/messages"):
            found["empty"] = await get("/")
        with smtplib.SMTP("127.0.0.1", mailbox.smtp_port) as smtp:
            smtp.send_message(letter("One", html="<h1>Hello</h1>"), "bounce@cinema.example")
        found["list"] = await get("/")
        async with session.get(f"{mailbox.url}/api/v1/messages") as response:
            (mail,) = (await response.json())["messages"]
        found["mail"] = await get(f"/mail/{mail['ID']}")
    return found


async def test_no_page_keeps_anybody_out(
    browser: Browser, mailbox: MailboxAddresses, pages: dict[str, str]
) -> None:
    assert await barriers_of(browser, mailbox.url, pages, viewport=PHONE) == {}


@needs_java
async def test_the_checker_finds_no_mistake(pages: dict[str, str], tmp_path: Path) -> None:
    assert await mistakes(pages, tmp_path) == []
