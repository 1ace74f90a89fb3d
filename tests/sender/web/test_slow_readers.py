"""Clients that do not read: what is kept for them is bounded, and they miss nothing by it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from sender.inbox import Draft, Inbox
from sender.web.feed import BUFFER_BYTES, Feed
from sender.web.line import Line
from sender.web.sockets import UNREAD_BYTES
from streams.jobs import InboxEntry
from tests.conftest import eventually
from tests.sender.web.conftest import Client, draft, token
from tests.sender.web.raw import Raw

# What asyncio takes before it says that a transport is full.
HIGH_WATER = 1 << 16
BODY = "x" * 20_000
# Far more than the kernel's buffers hold on both sides (4 MB and 4 kB).
NUMBER = 900


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> list[Feed]:
    """Give the feeds of all sockets that are opened."""
    made: list[Feed] = []

    def feed(seat: bytes) -> Feed:
        made.append(Feed(seat))
        return made[-1]

    monkeypatch.setattr("sender.web.sockets.Feed", feed)
    return made


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Give the lines of all sockets that are opened."""
    made: list[Line] = []

    def line(*args: Any) -> Line:
        made.append(Line(*args))
        return made[-1]

    monkeypatch.setattr("sender.web.sockets.Line", line)
    return made


def large(number: int) -> tuple[str, Draft]:
    return "u", msgspec.structs.replace(draft(number), body=BODY)


async def fill(inbox: Inbox, number: int, first: int = 0) -> list[InboxEntry]:
    """Add large entries while sockets have time to send them."""
    entries: list[InboxEntry] = []
    for start in range(first, first + number, 10):
        entries += await inbox.add([large(one) for one in range(start, start + 10)])
        await asyncio.sleep(0)
    return entries


def held(line: Line, feed: Feed) -> int:
    """Return the bytes that wait for a client in this process."""
    assert line._transport is not None
    return line._transport.get_write_buffer_size() + feed._size


async def test_a_client_that_does_not_read_is_not_buffered_for_and_then_gets_everything_in_order(
    raw: Raw, inbox: Inbox, feeds: list[Feed], lines: list[Line]
) -> None:
    await raw.open(token=token())
    assert (await raw.frame())["type"] == "hello"
    entries, most = [], 0
    for start in range(0, NUMBER, 100):
        entries += await fill(inbox, 100, start)
        most = max(most, held(lines[0], feeds[0]))
    await asyncio.sleep(0.2)
    most = max(most, held(lines[0], feeds[0]))
    print(f"\n{NUMBER * len(BODY) >> 10} KiB added, at most {most >> 10} KiB wait in the process")
    assert feeds[0].behind, "what it did not read is left in Redis"
    assert most <= HIGH_WATER + UNREAD_BYTES + BUFFER_BYTES + len(BODY) + 1000
    given: list[int] = []
    while len(given) < NUMBER:
        frame = await raw.frame()
        if frame["type"] == "notification":
            given.append(frame["id"])
    assert given == [entry.id for entry in entries]
    (last,) = await inbox.add([large(NUMBER)])
    while frame.get("id") != last.id:
        frame = await raw.frame()
        assert frame["type"] == "unread" or frame["id"] == last.id


async def test_what_was_dropped_while_a_client_did_not_read_is_a_gap_between_what_it_gets(
    raw: Raw, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.inbox.KEEP", 50)
    monkeypatch.setattr("sender.inbox.SPARE", 10)
    await raw.open(token=token())
    await raw.frame()
    entries = await fill(inbox, NUMBER)
    numbers = [entry.id for entry in entries]
    seen: list[int] = []
    gaps = 0
    while not seen or seen[-1] != numbers[-1]:
        frame = await raw.frame()
        if frame["type"] == "notification":
            seen.append(frame["id"])
        elif frame["type"] == "gap":
            gaps += 1
            assert frame["from"] == seen[-1]
            seen += [one for one in numbers if frame["from"] < one <= frame["to"]]
    assert seen == numbers and gaps >= 1
    while frame["type"] != "unread":
        frame = await raw.frame()
    assert frame["count"] == (await inbox.page("u")).state.unread


@pytest.mark.parametrize("why", ["answers no ping", "its token has expired"])
async def test_a_client_that_never_reads_does_not_hold_its_connection(
    raw: Raw, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, why: str, client: Client
) -> None:
    monkeypatch.setattr("sender.web.line.CLOSE_SECONDS", 0.1)
    monkeypatch.setattr("sender.web.sockets.CLOSE_SECONDS", 0.1)
    if why == "answers no ping":
        monkeypatch.setattr("sender.web.sockets.HEARTBEAT_SECONDS", 1.5)
    await raw.open(token=token(seconds=60 if "ping" in why else 2))
    await raw.frame()
    assert not await raw.cut_off()
    await fill(inbox, NUMBER)
    await eventually(raw.cut_off, 10)


async def test_a_client_that_asks_and_does_not_read_is_cut_off(
    raw: Raw, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sender.web.line.CLOSE_SECONDS", 0.1)
    monkeypatch.setattr("sender.web.session.ANSWER_SECONDS", 0.3)
    # Each of its answers is one too many.
    monkeypatch.setattr("sender.web.sockets.UNREAD_BYTES", 1)
    await raw.open(token=token())
    await raw.frame()
    await fill(inbox, NUMBER)
    await raw.send({"type": "ping"})
    await eventually(raw.cut_off, 5)
