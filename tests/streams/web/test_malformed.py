"""Requests that are no HTTP, or whose body is not what its headers say."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.streams.web.conftest import KEY, Client

WORDS = "what-nobody-may-read"
TYPE = "application/vnd.kafka.json.v2+json"
KEYED = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {TYPE}"
CHUNKED = f"POST /topics/users HTTP/1.1\r\n{KEYED}\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "a header's name": f"GET /login HTTP/1.1\r\nHost: x\r\n({WORDS}): 1\r\n\r\n",
    "a header's value": f"GET /login HTTP/1.1\r\nHost: x\r\nX: {WORDS}\0\r\n\r\n",
    "a header without end": f"GET /login HTTP/1.1\r\nHost: x\r\nX: {WORDS * 500}\r\n\r\n",
    "a line without end": f"GET /me/{WORDS * 500} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version": f"GET /me/{WORDS} HTTP/7\r\nHost: x\r\n\r\n",
    "a method": f"{WORDS.upper()}( /me/x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length": f"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: {WORDS}\r\n\r\n",
    "two lengths": f"GET /me/{WORDS} HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a chunk": f"{CHUNKED}{WORDS}\r\n",
    "a compressed body": f"POST /topics/users HTTP/1.1\r\n{KEYED}\r\nContent-Encoding: gzip\r\n"
    f"Content-Length: {len(WORDS)}\r\n\r\n{WORDS}",
}


async def answer_to(client: Client, *request: str) -> tuple[str, str]:
    """Send those bytes, part after part, and return the head and the body of the answer."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        for number, part in enumerate(request):
            await asyncio.sleep(0.1 if number else 0)
            writer.write(part.encode())
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"Content-Length: (\d+)", head)
            assert length is not None
            return head, (await reader.readexactly(int(length[1]))).decode()
    finally:
        writer.close()


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_refused_and_none_of_it_is_said_or_logged(
    client: Client, caplog: pytest.LogCaptureFixture, request_: str
) -> None:
    caplog.set_level("DEBUG")
    head, body = await answer_to(client, request_)
    assert head.split()[1] == "400"
    assert '"error_code":400' in body
    assert WORDS not in head + body
    assert WORDS not in caplog.text.lower()
    assert "Traceback" not in caplog.text
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert name in head


@pytest.mark.parametrize("before", ["", "4\r\n[1, \r\n"], ids=["first", "second"])
async def test_a_malformed_chunk_is_refused_when_it_comes_and_not_waited_for(
    client: Client, caplog: pytest.LogCaptureFixture, before: str
) -> None:
    head, body = await answer_to(client, CHUNKED + before, f"{WORDS}\r\n")
    assert head.split()[1] == "400"
    assert "Connection: close" in head
    assert '"error_code":400' in body
    assert WORDS not in head + body + caplog.text
    assert not caplog.records
    # And whoever comes next is served.
    async with client.get("/health/live") as answer:
        assert answer.status == 200


async def test_an_earlier_request_is_answered_before_a_malformed_body_ends_its_connection(
    client: Client,
) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n{CHUNKED}".encode())
    await asyncio.sleep(0.1)
    writer.write(f"{WORDS}\r\n".encode())
    async with asyncio.timeout(5):
        answers = (await reader.read()).decode()
    assert re.findall(r"HTTP/1.1 (\d+)", answers) == ["200", "400"]
    writer.close()
