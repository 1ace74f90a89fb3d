"""`python -m dev screenshots`: the README's pictures, of mails and pages in a real browser.

By day and by night, on a desk and on a phone: look at each before it goes in.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import aiohttp
import jwt
import msgspec
from playwright.async_api import Browser, ViewportSize, async_playwright

from dev.cinema.feed import Feed
from dev.cinema.films import CATALOGUE, SERIES, SINGLE
from dev.cinema.records import Record
from dev.stack import Options, Stack
from streams.errors import CinemaError
from streams.fields import zone
from tables.months import month_before, month_of

Scheme = Literal["light", "dark"]

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
# Beside each other as wide as a README is shown on a large screen.
DESK: Final = ViewportSize(width=760, height=900)
PHONE: Final = ViewportSize(width=390, height=844)
#: A picture by its name: what it shows, and how large.
PICTURES: Final = {
    "running": (("mailbox", "viewer"), DESK),
    "phone": (("mail", "viewer", "months", "preferences"), PHONE),
}
#: What each scheme adds to a picture's name.
SCHEMES: Final[dict[Scheme, str]] = {"light": "", "dark": "-dark"}
GAP: Final = 16
STYLE: Final = (
    f"body {{ margin: {GAP}px; display: flex; gap: {GAP}px; background: #888 }}"
    " img { display: block; border-radius: 6px }"
)
PATIENCE: Final = 30.0
USER: Final = "ann"
ADDRESS: Final = "ann@example.com"
ZONE: Final = "Europe/Berlin"
#: The mail that is shown open, by its subject.
SHOWN: Final = " in films"
#: The pages it leads to, by what is in their addresses.
PATHS: Final = {"months": "/me/", "preferences": "/preferences/"}
LINK: Final = re.compile(r"https?://\S+")


def main(arguments: Sequence[str]) -> int:
    """Take the pictures and say where they are."""
    parser = argparse.ArgumentParser(prog="python -m dev screenshots", description=__doc__)
    parser.parse_args(arguments)
    try:
        pictures = asyncio.run(take())
    except CinemaError as error:
        print(f"error: {error}")
        return 1
    for name, picture in pictures.items():
        path = FOLDER / f"{name}.png"
        path.write_bytes(picture)
        print(path)
    return 0


def names() -> set[str]:
    """Return the names of the pictures."""
    return {name + ending for name in PICTURES for ending in SCHEMES.values()}


async def take() -> dict[str, bytes]:
    """Run a stack, let a month's end come, and return the pictures as PNG, by name."""
    with TemporaryDirectory() as data:
        async with Stack(Options(clock="topic", data=Path(data))) as stack:
            return await _of(stack)


async def _of(stack: Stack) -> dict[str, bytes]:
    feed = Feed(stack.addresses.broker, stack.settings.partitions)
    await feed.start()
    try:
        await _live(feed)
        pages = await _pages(stack.addresses.mailbox or "")
    finally:
        await feed.stop()
    token = jwt.encode(
        {"sub": USER, "exp": datetime.now(UTC) + timedelta(hours=1)},
        stack.addresses.jwt_secret,
        algorithm="HS256",
    )
    pages["viewer"] = f"{stack.addresses.sender[0]}/viewer#token={token}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*ARGUMENTS]
        )
        return {
            name + ending: await _beside(
                browser, [await _shot(browser, pages[one], size, scheme) for one in shown], size
            )
            for name, (shown, size) in PICTURES.items()
            for scheme, ending in SCHEMES.items()
        }


async def _live(feed: Feed) -> None:
    """Send a person's month, and then what the cinema has to say to them."""
    # Noon where the person lives: mails go at once.
    now = datetime.combine(datetime.now(UTC).date(), time(12), zone(ZONE)).astimezone(UTC)
    await feed.tick([now])

    async def send(topic: str, key: str | None, *values: dict[str, Any]) -> None:
        await feed.send(Record(topic, key, msgspec.json.encode(value), now) for value in values)

    for film in CATALOGUE:
        await send("films", film.film_id, film.value())
    profile = {"user_id": USER, "email": ADDRESS, "username": "Ann", "timezone": ZONE}
    await send("users", USER, profile | {"locale": "en"})
    month, serial = month_before(month_of(now)), SERIES[0]
    await send(
        "watch_history",
        USER,
        *(
            {
                "user_id": USER,
                "film_id": film.film_id,
                "seconds": 5400 + 300 * day,
                "at": f"{month}-{day:02d}T19:00:00+00:00",
            }
            for day, film in enumerate(SINGLE[:14], 5)
        ),
    )
    await send("bookmarks", USER, {"user_id": USER, "series_id": serial.series_id, "added": True})
    told: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
        ("activity", USER, {"user_id": USER, "body": "Bob liked your review of Metropolis"}),
        (
            "episodes",
            serial.series_id,
            {
                "series_id": serial.series_id,
                "serial_name": serial.name,
                "season": 1,
                "episode": 4,
                "link": serial.episodes[3].url,
            },
        ),
        ("activity", USER, {"user_id": USER, "body": "Clara answered your question"}),
        ("monthly_statistic", None, {"event": "send_statistic"}),
    )
    for number, (topic, key, value) in enumerate(told, 1):
        # One after the other, minutes apart: as the list in the picture shows them.
        await asyncio.sleep(1)
        now += timedelta(minutes=number)
        await feed.tick([now])
        await send(topic, key, value)


async def _pages(mailbox: str) -> dict[str, str]:
    """Wait for the mail that is shown, and return where it and the pages it leads to are."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while True:
            async with session.get(f"{mailbox}/api/v1/messages") as response:
                mails = (await response.json())["messages"]
            for mail in mails:
                if SHOWN in mail["Subject"]:
                    page = f"{mailbox}/mail/{mail['ID']}"
                    async with session.get(f"{mailbox}/api/v1/message/{mail['ID']}") as response:
                        links = LINK.findall((await response.json())["Text"])
                    return {"mailbox": page, "mail": f"{page}/html"} | {
                        name: next(link for link in links if path in link)
                        for name, path in PATHS.items()
                    }
            await asyncio.sleep(0.2)


async def _shot(browser: Browser, url: str, size: ViewportSize, scheme: Scheme) -> bytes:
    page = await browser.new_page(viewport=size, color_scheme=scheme, locale="en")
    await page.goto(url, wait_until="networkidle")
    return await page.screenshot()


async def _beside(browser: Browser, shots: Sequence[bytes], size: ViewportSize) -> bytes:
    """Return the pictures beside each other, as one."""
    images = "".join(
        f'<img src="data:image/png;base64,{b64encode(shot).decode()}">' for shot in shots
    )
    count = len(shots)
    page = await browser.new_page(
        viewport={
            "width": count * size["width"] + (count + 1) * GAP,
            "height": size["height"] + 2 * GAP,
        }
    )
    await page.set_content(f"<!doctype html><style>{STYLE}</style>{images}")
    return await page.screenshot()
