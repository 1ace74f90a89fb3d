"""The pool against a mail server that answers as a script says, and hangs up where it says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest

from sender.channels import Outcome
from sender.smtp import connections
from sender.smtp.envelope import Envelope, on_the_wire
from sender.smtp.opening import Timeouts, Unreachable
from sender.smtp.pool import Pool, ehlo_name
from streams.errors import InvalidMail
from streams.settings import SmtpServer
from tests.sender.smtpd import DROP, HANG, ScriptedServer, certificate, serving

MAIL = b"Subject: Hello\r\n\r\n.Hello\r\nworld\r\n"
# Nobody waits for these but where a server falls silent, and there it is not for long.
CALM = Timeouts(connect=10, command=10, final=10, quit=1)
HASTY = Timeouts(connect=0.3, command=0.3, final=0.3, quit=0.3)


@pytest.fixture(params=[False, True], ids=["lock-step", "pipelined"])
async def smtpd(request: pytest.FixtureRequest) -> AsyncIterator[ScriptedServer]:
    async with serving(ScriptedServer()) as server:
        if request.param:
            server.offers.append("PIPELINING")
        yield server


@cache
def system_store() -> ssl.SSLContext:
    # Reading it takes longer than a test.
    return ssl.create_default_context()


def pool_of(
    *servers: ScriptedServer,
    size: int = 4,
    silent: bool = False,
    timeouts: Timeouts | None = None,
    tls: ssl.SSLContext | None = None,
    **settings: object,
) -> Pool:
    here = [SmtpServer("127.0.0.1", server.port, **settings) for server in servers]  # type: ignore[arg-type]
    timeouts = timeouts or (HASTY if silent else CALM)
    return Pool(here, "sender.example", size=size, timeouts=timeouts, tls=tls or system_store())


def envelope(to: str = "anna@example.com", content: bytes = MAIL, utf8: bool = False) -> Envelope:
    return Envelope("noreply@cinema.example", to, utf8, lambda eightbit: content)


async def send(pool: Pool) -> Outcome:
    try:
        return await pool.send(envelope())
    finally:
        await pool.close()


async def test_a_mail_arrives_as_it_was_built_with_its_envelope(smtpd: ScriptedServer) -> None:
    assert await send(pool_of(smtpd)) == Outcome("sent", "250 2.0.0 ok")
    ((sender, recipient, content),) = smtpd.mails
    size = len(on_the_wire(MAIL))
    assert sender == f"MAIL FROM:<noreply@cinema.example> BODY=8BITMIME SIZE={size}"
    assert recipient == "RCPT TO:<anna@example.com>"
    assert content == b"Subject: Hello\r\n\r\n..Hello\r\nworld\r\n.\r\n"
    assert smtpd.commands[0] == "EHLO sender.example"
    assert smtpd.commands[-1] == "QUIT"


async def test_connections_are_reused_and_no_more_than_the_pool_has(smtpd: ScriptedServer) -> None:
    pool = pool_of(smtpd, size=3)
    outcomes = await asyncio.gather(*(pool.send(envelope()) for _ in range(50)))
    assert {outcome.status for outcome in outcomes} == {"sent"}
    # Two mails at once on a pipelined one.
    assert len(smtpd.mails) == 50
    assert smtpd.connections == (2 if "PIPELINING" in smtpd.offers else 3)
    await pool.close()
    await asyncio.sleep(0.05)
    assert smtpd.open == 0


async def test_a_connection_is_changed_after_its_mails(
    smtpd: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAILS", 2)
    pool = pool_of(smtpd, size=1)
    for _ in range(5):
        await pool.send(envelope())
    assert smtpd.connections == 3 and smtpd.commands.count("QUIT") == 2
    await pool.close()


async def test_an_idle_connection_is_asked_before_it_is_trusted(
    smtpd: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(smtpd, size=1)
    await pool.send(envelope())
    monkeypatch.setattr(connections, "DOUBTFUL", -1.0)
    await pool.send(envelope())
    assert smtpd.connections == 1 and "NOOP" in smtpd.commands
    smtpd.script["NOOP"] = [DROP]
    await pool.send(envelope())
    assert smtpd.connections == 2 and len(smtpd.mails) == 3
    await pool.close()


async def test_a_reply_that_comes_too_late_is_never_taken_for_the_next_mails(
    smtpd: ScriptedServer,
) -> None:
    pool = pool_of(smtpd, size=1, silent=True)
    await pool.send(envelope())
    smtpd.always["RCPT"] = b"550 5.1.1 unknown\r\n"
    smtpd.delays["RCPT"] = 0.35
    assert (await pool.send(envelope())).status == "retrying"
    del smtpd.delays["RCPT"], smtpd.always["RCPT"]
    assert (await pool.send(envelope())).status == "sent"
    assert len(smtpd.mails) == 2
    await pool.close()


async def test_a_connection_that_the_server_closed_meanwhile_costs_no_try(
    smtpd: ScriptedServer,
) -> None:
    pool = pool_of(smtpd, size=1)
    await pool.send(envelope())
    for step in (DROP, b"421 4.4.2 idle\r\n" + DROP, b"421 enough\r\n"):
        smtpd.script["MAIL"] = [step]
        assert (await pool.send(envelope())).status == "sent"
    assert len(smtpd.mails) == 4 and smtpd.connections == 4
    await pool.close()


async def test_a_connection_that_no_mail_needed_and_the_server_closed_costs_no_try(
    smtpd: ScriptedServer,
) -> None:
    pool = pool_of(smtpd, size=4)
    smtpd.delays["end of data"] = 0.05
    first = asyncio.create_task(pool.send(envelope()))
    while "DATA" not in smtpd.commands:
        await asyncio.sleep(0.001)
    # The second opens one; before that is there, the first connection has room for it.
    smtpd.delays["connect"] = 0.2
    assert (await pool.send(envelope())).status == (await first).status == "sent"
    await asyncio.sleep(0.3)
    assert smtpd.connections == 2
    for writer in list(smtpd.writers):
        writer.close()
    await asyncio.sleep(0.05)
    smtpd.delays.clear()
    outcomes = await asyncio.gather(*(pool.send(envelope()) for _ in range(3)))
    assert [outcome.status for outcome in outcomes] == ["sent"] * 3
    await pool.close()


async def test_an_old_server_that_knows_only_helo_gets_its_mail(smtpd: ScriptedServer) -> None:
    smtpd.always["EHLO"] = b"500 what?\r\n"
    assert (await send(pool_of(smtpd))).status == "sent"
    assert smtpd.mails[0][0] == "MAIL FROM:<noreply@cinema.example>"


async def test_the_next_server_takes_over_and_the_first_comes_back(smtpd: ScriptedServer) -> None:
    async with serving(ScriptedServer()) as second:
        pool = pool_of(smtpd, second)
        smtpd.always["connect"] = b"421 down\r\n"
        for _ in range(5):
            assert (await pool.send(envelope())).status == "sent"
        assert len(second.mails) == 5 and smtpd.connections == 3, "asked three times, then open"
        assert pool.paused_by is None
        del smtpd.always["connect"]
        await asyncio.sleep(0.7)
        await pool.send(envelope())
        assert len(smtpd.mails) == 1
        await pool.close()


async def test_a_lost_connection_goes_to_the_next_server_but_a_maybe_does_not(
    smtpd: ScriptedServer,
) -> None:
    async with serving(ScriptedServer()) as second:
        pool = pool_of(smtpd, second)
        smtpd.script["RCPT"] = [DROP]
        assert (await pool.send(envelope())).status == "sent"
        assert len(second.mails) == 1
        smtpd.script["end of data"] = [DROP]
        assert (await pool.send(envelope())).status == "retrying"
        assert len(second.mails) == 1 and smtpd.mails == []
        await pool.close()


async def test_with_every_server_away_the_pool_says_so_and_is_ready_when_one_is_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pool = Pool([SmtpServer("127.0.0.1", port)], "sender.example", size=1, timeouts=CALM)
    assert pool.paused_by is None
    for _ in range(3):
        with pytest.raises(Unreachable):
            await pool.send(envelope())
    assert pool.paused_by is not None and f"127.0.0.1:{port}" in pool.paused_by
    async with serving(ScriptedServer(), port) as smtpd:
        await asyncio.wait_for(pool.ready(), 2)
        assert (await pool.send(envelope())).status == "sent"
        assert pool.paused_by is None and len(smtpd.mails) == 1
        await pool.close()


@pytest.mark.parametrize(
    ("stage", "maybe"),
    [("connect", None), ("EHLO", None), ("RCPT", None), ("DATA", None), ("end of data", True)],
)
async def test_a_pool_that_lets_go_waits_for_no_answer_and_knows_what_may_have_been_sent(
    smtpd: ScriptedServer, stage: str, maybe: bool | None
) -> None:
    smtpd.always[stage] = HANG
    async with serving(ScriptedServer()) as second:
        pool = pool_of(smtpd, second, size=1)
        sending = asyncio.create_task(pool.send(envelope()))
        await asyncio.sleep(0.05)
        assert not sending.done()
        pool.let_go()
        if maybe:
            outcome = await asyncio.wait_for(sending, 1)
            assert outcome.maybe and "the worker stops" in outcome.reason
        else:
            with pytest.raises(Unreachable):
                await asyncio.wait_for(sending, 1)
        with pytest.raises(Unreachable):
            await pool.send(envelope())
        await asyncio.wait_for(pool.close(), 1)
        assert second.connections == 0 and smtpd.mails == []


async def test_mail_goes_encrypted_to_a_server_whose_certificate_is_trusted(
    tmp_path: Path,
) -> None:
    context, trusted = certificate(tmp_path)
    tls = ssl.create_default_context(cafile=str(trusted))
    async with serving(ScriptedServer(tls=context, offers=["AUTH PLAIN"])) as smtpd:
        setting = SmtpServer("127.0.0.1", smtpd.port, user="cinema", password="secret")
        pool = Pool([setting], "sender.example", size=1, timeouts=CALM, tls=tls)
        assert (await send(pool)).status == "sent"
        assert smtpd.commands[:3] == ["EHLO sender.example", "STARTTLS", "EHLO sender.example"]
        assert smtpd.commands[3].startswith("AUTH PLAIN")


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with serving(ScriptedServer(tls=context)) as smtpd:
        with pytest.raises(Unreachable, match="STARTTLS"):
            await send(pool_of(smtpd))
        assert not any(line.startswith("MAIL") for line in smtpd.commands)


async def test_required_encryption_that_is_not_offered_stops_the_mail(
    smtpd: ScriptedServer,
) -> None:
    with pytest.raises(Unreachable, match="offers no STARTTLS"):
        await send(pool_of(smtpd, starttls="require"))


async def test_starttls_is_left_alone_where_it_is_not_wanted(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with serving(ScriptedServer(tls=context)) as smtpd:
        assert (await send(pool_of(smtpd, starttls="never"))).status == "sent"
        assert "STARTTLS" not in smtpd.commands


async def test_a_mail_that_the_server_cannot_take_fails_alone(smtpd: ScriptedServer) -> None:
    smtpd.offers[1] = "SIZE 100"
    pool = pool_of(smtpd, size=1)
    big = await pool.send(envelope(content=b"a" * 101))
    assert big.status == "failed" and "100" in big.reason
    foreign = await pool.send(envelope("анна@example.com", utf8=True))
    assert foreign.status == "failed" and "SMTPUTF8" in foreign.reason
    with pytest.raises(InvalidMail):
        await pool.send(envelope(content=b"a\nb"))
    assert (await pool.send(envelope())).status == "sent"
    assert smtpd.connections == 1 and len(smtpd.mails) == 1
    await pool.close()


async def test_smtputf8_is_used_where_it_is_offered_and_needed(smtpd: ScriptedServer) -> None:
    smtpd.offers.append("SMTPUTF8")
    pool = pool_of(smtpd)
    assert (await pool.send(envelope("анна@example.com", utf8=True))).status == "sent"
    assert smtpd.mails[0][0].endswith("SMTPUTF8") and "<анна@" in smtpd.mails[0][1]
    await pool.close()


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\nb", b"\r\r\n", b"a\n"])
def test_a_bare_line_end_never_leaves(content: bytes) -> None:
    with pytest.raises(InvalidMail):
        on_the_wire(content)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".\r\n.\r\n..", b"..\r\n..\r\n...\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed_and_the_end_is_one_dot(content: bytes, wire: bytes) -> None:
    assert on_the_wire(content) == wire


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://mail.cinema.example/x", "mail.cinema.example"),
        ("http://127.0.0.1:6067", "[127.0.0.1]"),
        ("http://[::1]:6067", "[IPv6:::1]"),
        ("https://кино.example", "xn--h1adke.example"),
    ],
)
def test_ehlo_says_a_host_or_an_address_literal(url: str, name: str) -> None:
    assert ehlo_name(url) == name
