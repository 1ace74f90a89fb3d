"""Pipelined connections against a server that answers as a script says, fifty mails at once."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from sender.channels import Outcome
from sender.smtp import connections
from sender.smtp.envelope import Envelope, on_the_wire
from sender.smtp.opening import Timeouts, Unreachable
from sender.smtp.pool import Pool
from tests.sender.smtpd import ANSWERS, DROP, HANG, ScriptedServer, certificate, serving
from tests.sender.test_smtp import CALM, envelope, pool_of
from tests.sender.test_smtp_faults import TWICE

STAGES = ("MAIL", "RCPT", "DATA", "end of data")
MAILS = 100
AT_ONCE = 50
# For a server that falls silent once; its other answers come in time on a busy machine, too.
PATIENT = Timeouts(connect=10, command=1.5, final=1.5, quit=1)


@pytest.fixture
async def smtpd() -> AsyncIterator[ScriptedServer]:
    async with serving(pipelining()) as server:
        yield server


def pipelining() -> ScriptedServer:
    server = ScriptedServer()
    server.offers.append("PIPELINING")
    return server


def recipient(number: int) -> str:
    return f"user{number}@example.com"


def mail(number: int, size: int = 2) -> Envelope:
    content = f"Subject: {number}\r\n\r\n.{number}\r\n".encode() * size
    return envelope(recipient(number), content)


async def send_all(pool: Pool, numbers: Iterable[int]) -> dict[int, str]:
    """Send mails, fifty at once; return what each became."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> tuple[int, str]:
        async with slots:
            try:
                outcome = await pool.send(mail(number))
            except Unreachable:
                return number, "away"
            return number, "maybe" if outcome.maybe else outcome.status

    return dict(await asyncio.gather(*map(send, numbers)))


def received(smtpd: ScriptedServer) -> Counter[int]:
    """Return how often each mail was taken; each with its own content."""
    found: Counter[int] = Counter()
    for _, to, content in smtpd.mails:
        number = int(to.removeprefix("RCPT TO:<user").partition("@")[0])
        assert content == on_the_wire(mail(number).build(True))
        found[number] += 1
    return found


# What a fault makes of a mail that is the first on its connection, and of a later one. A connection
# that ends is no fault of the mails on it: those that were not written whole go over another.
FAULTS = [
    (stage, step, first, later)
    for stage in ("MAIL", "RCPT", "DATA")
    for step, first, later in [
        (b"550 5.1.1 unknown\r\n", "failed", "failed"),
        (b"451 4.3.0 later\r\n", "retrying", "retrying"),
        (b"550-no\r\n550 and no\r\n", "failed", "failed"),
        (b"421 4.7.0 not now\r\n", "retrying", "sent"),
        (b"530 5.7.0 log in first\r\n", "away", "away"),
        (DROP, "retrying", "sent"),
        (HANG, "retrying", "sent"),
        (b"25" + DROP, "retrying", "sent"),
        (b"what?\r\n", "retrying", "sent"),
        (b"199 what?\r\n", "retrying", "sent"),
        (TWICE, "retrying", "sent"),
    ]
] + [
    ("end of data", step, first, later)
    for step, first, later in [
        (b"550 5.1.1 unknown\r\n", "failed", "failed"),
        (b"451 4.3.0 later\r\n", "retrying", "retrying"),
        (b"421 4.7.0 not now\r\n", "retrying", "sent"),
        (b"530 5.7.0 log in first\r\n", "failed", "failed"),
        (DROP, "maybe", "maybe"),
        (HANG, "maybe", "maybe"),
        (b"what?\r\n", "maybe", "maybe"),
        (b"354 go on\r\n", "maybe", "maybe"),
        (TWICE, "sent", "sent"),
    ]
]


@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("nobody", [False, True], ids=["no data", "data for nobody"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}: {fault[1][:20]!r}")
async def test_a_fault_among_fifty_mails_is_one_mails(
    smtpd: ScriptedServer, fault: tuple[str, bytes, str, str], nobody: bool, later: bool
) -> None:
    stage, step, *becomes = fault
    smtpd.data_for_nobody = nobody
    usual = ANSWERS.get(stage, b"250 2.0.0 ok\r\n")
    # Half as many connections as mails at once: so many are a connection's first.
    smtpd.script[stage] = [usual] * (AT_ONCE // 2 + 10 if later else 10) + [step]
    pool = pool_of(smtpd, size=AT_ONCE, timeouts=PATIENT if step.endswith(HANG) else CALM)
    ends = await send_all(pool, range(MAILS))
    await pool.close()
    assert not smtpd.script[stage], "it was said"
    assert Counter(ends.values()) == Counter(["sent"] * (MAILS - 1) + [becomes[later]])
    taken = received(smtpd)
    for number, became in ends.items():
        if became != "maybe":
            assert taken[number] == (became == "sent")


@pytest.mark.parametrize("pieces", [0, 1, 3])
async def test_the_fast_and_the_plain_way_give_the_same_mailbox(pieces: int) -> None:
    boxes = []
    for fast in (True, False):
        async with serving(pipelining()) as smtpd:
            smtpd.pieces = pieces
            pool = pool_of(smtpd, size=AT_ONCE, pipelining=fast)
            assert set((await send_all(pool, range(MAILS))).values()) == {"sent"}
            await pool.close()
            boxes.append(sorted(smtpd.mails))
            assert smtpd.connections == AT_ONCE // (2 if fast else 1)
    assert boxes[0] == boxes[1] and len(boxes[0]) == MAILS


async def test_an_envelope_goes_out_while_the_mail_before_waits_for_its_answer(
    smtpd: ScriptedServer,
) -> None:
    pool = pool_of(smtpd, size=1)
    smtpd.delays["end of data"] = 0.1
    sending = [asyncio.create_task(pool.send(mail(number))) for number in range(2)]
    await asyncio.sleep(0.08)
    assert not sending[0].done()
    # They stand in the server's buffer until it has said what became of the first.
    began = monotonic()
    del smtpd.delays["end of data"]
    assert {outcome.status for outcome in await asyncio.gather(*sending)} == {"sent"}
    assert monotonic() - began < 1 and smtpd.connections == 1
    await pool.close()


async def test_mails_share_connections_when_a_server_refuses_more(
    smtpd: ScriptedServer,
) -> None:
    pool = pool_of(smtpd, size=AT_ONCE)
    smtpd.script["connect"] = [ANSWERS["connect"]] * 2
    smtpd.always["connect"] = b"421 4.7.0 too many connections\r\n" + DROP
    # The first are there before the others ask.
    await send_all(pool, range(2))
    assert smtpd.connections >= 2
    ends = await send_all(pool, range(2, MAILS))
    assert set(ends.values()) == {"sent"} and len(smtpd.mails) == MAILS
    assert pool.paused_by is None
    refused = smtpd.connections
    await send_all(pool, range(MAILS, 2 * MAILS))
    assert smtpd.connections == refused, "it is not asked for more for a while"
    await pool.close()


async def test_connections_that_the_load_does_not_need_are_closed(
    smtpd: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE", 0.1)
    pool = pool_of(smtpd, size=10)
    await send_all(pool, range(20))
    assert smtpd.open == 5
    await asyncio.sleep(0.4)
    assert smtpd.open == 0 and smtpd.commands.count("QUIT") == 5
    assert (await pool.send(mail(1))).status == "sent"
    await pool.close()


async def test_a_connection_that_dies_while_it_is_idle_is_not_used(smtpd: ScriptedServer) -> None:
    pool = pool_of(smtpd, size=1)
    await pool.send(mail(0))
    for writer in list(smtpd.writers):
        writer.close()
    await asyncio.sleep(0.05)
    assert (await pool.send(mail(1))).status == "sent" and smtpd.connections == 2
    await pool.close()


async def test_nothing_else_is_begun_on_an_idle_connection_that_is_being_asked(
    smtpd: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "DOUBTFUL", -1.0)
    pool = pool_of(smtpd, size=2)
    for _ in range(3):
        sending = [pool.send(mail(number)) for number in range(4)]
        outcomes = await asyncio.wait_for(asyncio.gather(*sending), 5)
        assert {outcome.status for outcome in outcomes} == {"sent"}
    assert smtpd.connections == 1 and smtpd.commands.count("NOOP") == 2
    await pool.close()


async def test_whoever_gives_a_mail_up_has_it_not_sent_and_its_neighbours_go(
    smtpd: ScriptedServer,
) -> None:
    pool = pool_of(smtpd, size=2)
    smtpd.delays["DATA"] = 0.05
    sending = [asyncio.create_task(pool.send(mail(number))) for number in range(4)]
    await asyncio.sleep(0.02)
    for task in sending[0], sending[2]:
        # One has said its envelope, one still waits.
        task.cancel()
    ends = await asyncio.gather(*sending, return_exceptions=True)
    assert [isinstance(end, Outcome) for end in ends] == [False, True, False, True]
    assert sorted(received(smtpd)) == [1, 3]
    await pool.close()


async def test_fifty_mails_that_a_stop_finds_under_way_are_known_maybe_or_untried(
    smtpd: ScriptedServer,
) -> None:
    smtpd.delays["end of data"] = 0.02
    pool = pool_of(smtpd, size=AT_ONCE)
    sending = asyncio.create_task(send_all(pool, range(MAILS)))
    while len(smtpd.mails) < 30:
        await asyncio.sleep(0.001)
    smtpd.always["end of data"] = HANG
    await asyncio.sleep(0.05)
    pool.let_go()
    ends = await asyncio.wait_for(sending, 2)
    await asyncio.wait_for(pool.close(), 1)
    taken = received(smtpd)
    assert set(ends.values()) == {"sent", "maybe", "away"}
    assert all(taken[number] == (end == "sent") for number, end in ends.items())
    assert Counter(ends.values())["maybe"] <= AT_ONCE // 2, "one a connection"


@pytest.mark.parametrize("fast", [True, False], ids=["pipelined", "lock-step"])
@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_to_connections_each_mail_is_sent_once_or_known_not_to_be(
    smtpd: ScriptedServer, monkeypatch: pytest.MonkeyPatch, seed: int, fast: bool
) -> None:
    dice = Random(f"wire {seed}")
    monkeypatch.setattr(connections, "MAILS", dice.choice([2, 7, 1000]))
    monkeypatch.setattr(connections, "DOUBTFUL", dice.choice([-1.0, 0.01, 10.0]))
    monkeypatch.setattr(connections, "IDLE", dice.choice([0.02, 60.0]))
    smtpd.data_for_nobody = dice.random() < 0.5
    for stage in (*STAGES, "connect", "NOOP", "RSET", "QUIT"):
        usual = ANSWERS.get(stage, b"250 2.0.0 ok\r\n")
        faults = [b"451 4.3.0 later\r\n", b"421 4.7.0 no\r\n" + DROP, DROP]
        smtpd.script[stage] = [
            dice.choice(faults) if dice.random() < 0.04 else usual for _ in range(2 * MAILS)
        ]
    pool = pool_of(smtpd, size=dice.randint(1, 12), pipelining=fast)

    async def send(number: int) -> str:
        # In bursts: some come in the same turn of the loop.
        await asyncio.sleep(dice.randrange(10) * 0.04)
        while True:
            await pool.ready()
            try:
                outcome = await pool.send(mail(number))
            except Unreachable:
                continue
            return "maybe" if outcome.maybe else outcome.status

    async with asyncio.timeout(30):
        ends = await asyncio.gather(*map(send, range(MAILS)))
        await pool.close()
    taken = received(smtpd)
    assert all(
        taken[number] == (end == "sent") for number, end in enumerate(ends) if end != "maybe"
    )
    assert max(taken.values()) == 1
    assert ends.count("sent") > MAILS / 2


async def test_a_session_is_resumed_on_the_next_connection(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    tls = ssl.create_default_context(cafile=str(trusted))
    smtpd = pipelining()
    smtpd.tls = context
    async with serving(smtpd):
        pool = pool_of(smtpd, size=1, tls=tls)
        for _ in range(2):
            assert (await pool.send(mail(0))).status == "sent"
            for writer in list(smtpd.writers):
                writer.close()
            await asyncio.sleep(0.05)
        await pool.close()
        assert context.session_stats()["hits"] == 1 and smtpd.connections == 2
