"""Asks everybody who has seen something: logs, statistics over HTTP, inboxes over /ws."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import jwt

from dev.chaos import maillog
from dev.chaos.book import Book
from dev.chaos.evidence import Evidence
from dev.chaos.marks import marks_in, told_by
from dev.stack import Addresses

# Enough requests at once to keep two workers busy.
AT_ONCE: Final = 16
# What a worker's log says of what it did about its losses.
REFETCHED: Final = re.compile(r"records from offset \d+ were lost on the way")
DECLARED: Final = re.compile(r"job ([0-9a-f]{32}): maybe sent before")


def read_logs(evidence: Evidence, data: Path) -> None:
    """Add what the mail server and the workers have written down."""
    evidence.mails = list(maillog.read(data))
    for log in [*data.glob("streams-*.log"), *data.glob("sender-*.log")]:
        text = log.read_text(errors="replace")
        evidence.refetched += len(REFETCHED.findall(text))
        evidence.declared.update(DECLARED.findall(text))


async def read_statistics(
    evidence: Evidence, book: Book, http: aiohttp.ClientSession, addresses: Addresses
) -> None:
    """Ask for every month of every person; any worker answers for anybody."""
    wanted = sorted({(one.user_id, one.month) for many in book.watched.values() for one in many})
    headers = {"Authorization": f"Bearer {addresses.api_key}"}
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int, user_id: str, month: str) -> None:
        worker = addresses.streams[number % len(addresses.streams)]
        url = f"{worker}/users/{user_id}/statistics?month={month}"
        async with slots, http.get(url, headers=headers) as response:
            said = await response.json(content_type=None)
            evidence.statistics[user_id, month] = said if response.status == 200 else None

    await asyncio.gather(*(ask(number, *one) for number, one in enumerate(wanted)))


async def read_frames(
    evidence: Evidence, people: Iterable[str], http: aiohttp.ClientSession, addresses: Addresses
) -> None:
    """Read the inboxes of some people over /ws, from the beginning to the end."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int, user_id: str) -> None:
        worker = addresses.sender[number % len(addresses.sender)]
        async with slots, http.ws_connect(f"{worker}/ws") as socket:
            await socket.send_json({"token": token(user_id, addresses), "last_id": 0})
            last = (await socket.receive_json(timeout=10))["last_id"]
            frames: list[tuple[int, str | None]] = []
            while not frames or frames[-1][0] < last:
                frame = await socket.receive_json(timeout=10)
                if frame["type"] == "notification":
                    frames.append((frame["id"], told_by(marks_in(frame["body"].encode()))))
            evidence.frames[user_id] = frames

    await asyncio.gather(*(ask(number, one) for number, one in enumerate(people)))


def token(user_id: str, addresses: Addresses) -> str:
    """Return a token of that person's for an hour."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    return jwt.encode({"sub": user_id, "exp": expires}, addresses.jwt_secret, algorithm="HS256")
