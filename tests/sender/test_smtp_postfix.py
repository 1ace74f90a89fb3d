"""The pool against a real Postfix, with TLS and a login, on both ways."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sender.channels import Outcome
from sender.smtp.opening import Unreachable
from sender.smtp.pool import Pool
from streams.settings import SmtpServer
from tests.sender.postfix import RUNS, Postfix, postfix
from tests.sender.test_smtp import CALM, envelope
from tests.sender.test_smtp_pipelined import mail, recipient

pytestmark = pytest.mark.skipif(not RUNS, reason="needs Postfix, and root to start it")
MANY = 60


@pytest.fixture
async def server() -> AsyncIterator[Postfix]:
    async with postfix() as running:
        yield running


def pool_to(server: Postfix, **settings: Any) -> Pool:
    settings = {"user": "cinema", "password": "secret", "starttls": "require"} | settings
    there = SmtpServer("127.0.0.1", server.port, **settings)
    tls = ssl.create_default_context(cafile=str(server.folder / "certificate.pem"))
    return Pool([there], "sender.example", size=8, timeouts=CALM, tls=tls)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_postfix_takes_each_mail_once_and_each_refusal_is_its_own(
    server: Postfix, pipelining: bool
) -> None:
    pool = pool_to(server, pipelining=pipelining)
    mails = [mail(number) for number in range(MANY)]
    refused = {"nobody": "failed", "busy": "retrying"}
    for place, name in enumerate(refused):
        mails.insert(20 + 20 * place, envelope(f"{name}@example.com"))
    outcomes = await asyncio.gather(*map(pool.send, mails))
    await pool.close()
    for one, outcome in zip(mails, outcomes, strict=True):
        assert outcome.status == refused.get(one.recipient.partition("@")[0], "sent"), outcome
        assert outcome.suppress == one.recipient.startswith("nobody")
    queued = [re.findall(r"queued as (\w+)", outcome.reason) for outcome in outcomes]
    assert sum(map(len, queued)) == len({name for names in queued for name in names}) == MANY
    async with asyncio.timeout(10):
        while len(sent := re.findall(r"to=<(\S+)>,.* status=sent", server.log)) < MANY:
            await asyncio.sleep(0.05)
    assert sorted(sent) == sorted(recipient(number) for number in range(MANY))
    assert pool.servers[0].connects <= (4 if pipelining else 8)
    assert "improper command pipelining" not in server.log


async def test_a_login_that_postfix_refuses_sends_nothing(server: Postfix) -> None:
    pool = pool_to(server, password="wrong")
    with pytest.raises(Unreachable, match="AUTH: 535"):
        await pool.send(mail(0))
    await pool.close()


async def test_a_mail_over_postfix_s_size_fails_alone(server: Postfix) -> None:
    pool = pool_to(server)
    big = await pool.send(envelope(content=b"a\r\n" * 4_000_000))
    assert big.status == "failed" and "over the server's" in big.reason
    assert isinstance(await pool.send(mail(0)), Outcome)
    await pool.close()
