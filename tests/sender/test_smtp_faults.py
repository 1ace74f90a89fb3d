"""Every fault of a mail server at every stage: what becomes of the mail, and of the next one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from sender.channels import Outcome
from sender.smtp.opening import Unreachable
from sender.smtp.replies import GREYLISTED, MAILBOX_FULL, RATE_LIMITED
from tests.sender.smtpd import DROP, HANG, ScriptedServer, certificate, serving
from tests.sender.test_smtp import envelope, pool_of

# What a fault makes of its mail: besides the outcomes' own names, `maybe` (retrying, and it may
# have been sent) and `away` (nothing was tried: it keeps its attempt, another server may do).
SENT, FAILED, RETRYING, MAYBE, AWAY = "sent", "failed", "retrying", "maybe", "away"
OWN = b"250 2.6.0 its own\r\n"


class Fault(NamedTuple):
    """What a server says once at a stage, and what follows.

    `reused`: the next mail goes over the same connection.
    """

    stage: str
    step: bytes
    becomes: str
    reused: bool = False
    after: timedelta | None = None
    suppress: bool = False

    @property
    def name(self) -> str:
        return f"{self.stage}: {self.step[:40].decode(errors='replace').strip()}"


# Said instead of a reply: at no stage does the next mail go over that connection.
BROKEN = (
    DROP,
    HANG,
    b"2" + DROP,
    b"250-half" + DROP,
    b"250-half\r\n" + DROP,
    b"250-half\r\n" + HANG,
    b"250 half" + HANG,
    b"what?\r\n",
    b"\r\n",
    b"\xff\xfe\r\n",
    b"250" + 9000 * b"x" + b"\r\n",
)
REFUSALS = (
    (b"421 4.7.0 not now", RETRYING, RATE_LIMITED),
    (b"450 busy", RETRYING, None),
    (b"450 4.2.1 too fast", RETRYING, None),
    (b"450 4.7.1 greylisted", RETRYING, GREYLISTED),
    (b"450 4.7.28 rate", RETRYING, RATE_LIMITED),
    (b"451 4.3.0 later", RETRYING, None),
    (b"451 4.7.1 greylisted", RETRYING, GREYLISTED),
    (b"451 5.1.1 two tongues", RETRYING, None),
    (b"452 4.2.2 full", RETRYING, MAILBOX_FULL),
    (b"452 4.3.1 disk", RETRYING, None),
    (b"499", RETRYING, None),
    (b"550 no", FAILED, None),
    (b"550 5.7.1 policy", FAILED, None),
    (b"552 5.2.2 full", RETRYING, MAILBOX_FULL),
    (b"552 5.3.4 too large", FAILED, None),
    (b"553 5.1.8 bad sender", FAILED, None),
    (b"554 5.6.0 no", FAILED, None),
    (b"599 5.9.9 never heard of", FAILED, None),
)
# Of the recipient for good, where it is the recipient that is answered for.
BAD_ADDRESSES = (
    b"550 5.1.1 <anna@example.com> unknown",
    b"550-5.1.1 no\r\n550 5.1.1 such user",
    b"550 5.1.2 no such host",
    b"553 5.1.3 syntax",
    b"550 5.1.6 moved",
    b"556 5.1.10 null MX",
    b"550 5.2.1 disabled",
)
NOT_ADMITTED = (b"530 5.7.0 log in first", b"534 5.7.9 weak", b"535 5.7.8 no", b"538 5.7.11 tls")
# No reply to a command: 1yz is none at all, 3yz asks for more, 6yz and up do not exist.
ODD = (b"150 wait", b"334 ", b"354 go on", b"699 what", b"999 what")
# Two replies to one command: the second would be taken for the next one's.
TWICE = b"250 2.0.0 ok\r\n550 5.1.1 unknown\r\n"


def of_mail() -> list[Fault]:
    """Return the faults at MAIL, RCPT, DATA and the end of the data."""
    faults: list[Fault] = []
    for stage in ("MAIL", "RCPT", "DATA", "end of data"):
        last = stage == "end of data"
        faults += [Fault(stage, step, MAYBE if last else RETRYING) for step in BROKEN]
        for said, becomes, after in REFUSALS:
            reused = not said.startswith(b"421")
            faults.append(Fault(stage, said + b"\r\n", becomes, reused, after))
        for said in BAD_ADDRESSES:
            at_recipient = stage != "MAIL"
            faults.append(Fault(stage, said + b"\r\n", FAILED, True, suppress=at_recipient))
        for said in NOT_ADMITTED:
            faults.append(Fault(stage, said + b"\r\n", FAILED if last else AWAY))
        for said in ODD:
            if stage == "DATA" and said.startswith(b"354"):
                continue
            faults.append(Fault(stage, said + b"\r\n", MAYBE if last else RETRYING))
        faults.append(Fault(stage, TWICE, SENT if last else RETRYING))
    faults += [
        # Other positive replies than 250 (RFC 5321, 4.2.3): carried out all the same.
        Fault("MAIL", b"251 2.1.0 ok\r\n", SENT, True),
        Fault("RCPT", b"251 2.1.5 will forward\r\n", SENT, True),
        Fault("RCPT", b"252 2.1.5 cannot verify\r\n", SENT, True),
        Fault("end of data", b"299 2.6.0 taken\r\n", SENT, True),
        Fault("end of data", b"250-2.6.0 taken\r\n250 2.6.0 as 7F\r\n", SENT, True),
        # Not the start of input: the server would take the mail for commands.
        Fault("DATA", b"250 2.0.0 ok\r\n", RETRYING),
        # RFC 5321, 4.5.3.1.10: temporary where no enhanced code says otherwise.
        Fault("RCPT", b"552 full\r\n", RETRYING, True, MAILBOX_FULL),
    ]
    return faults


def of_opening() -> list[Fault]:
    """Return the faults of a connection's opening: no mail fails for one, none is maybe sent."""
    steps = [*BROKEN, *(said + b"\r\n" for said in (*NOT_ADMITTED, *ODD))]
    refusals = [said + b"\r\n" for said, _, _ in REFUSALS]
    faults = [
        Fault(stage, step, AWAY)
        for stage in ("connect", "STARTTLS", "AUTH")
        for step in [*steps, *refusals, b"250 odd\r\n"]
    ]
    # A server that refuses EHLO is asked with HELO (RFC 5321, 3.2), one that hangs up is not.
    faults += [Fault("EHLO", step, AWAY) for step in BROKEN]
    faults += [Fault("EHLO", b"421 not now\r\n" + DROP, AWAY)]
    faults += [
        Fault("EHLO", said + b"\r\n", SENT, True)
        for said in (b"251 odd", b"354 odd", b"451 4.3.0 later", b"502 what?", b"550 5.7.1 no")
    ]
    return faults


@pytest.fixture(params=["lock-step", "pipelined", "pipelined, data for nobody"])
async def smtpd(request: pytest.FixtureRequest) -> AsyncIterator[ScriptedServer]:
    way = request.param
    async with serving(ScriptedServer(data_for_nobody="nobody" in way)) as server:
        if way != "lock-step":
            server.offers.append("PIPELINING")
        yield server


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give a server's context and that of a client which trusts it."""
    server, trusted = certificate(tmp_path_factory.mktemp("tls"))
    return server, ssl.create_default_context(cafile=str(trusted))


async def becomes(smtpd: ScriptedServer, fault: Fault, **settings: Any) -> Outcome | None:
    """Check what the fault makes of its mail, and that the next has its own reply."""
    smtpd.script[fault.stage] = [fault.step]
    pool = pool_of(smtpd, size=1, silent=fault.step.endswith(HANG), **settings)
    first: Outcome | None = None
    if fault.becomes == AWAY:
        with pytest.raises(Unreachable, match=fault.stage) as caught:
            await pool.send(envelope())
        assert "secret" not in str(caught.value)
    else:
        first = await pool.send(envelope())
        status = MAYBE if first.maybe else first.status
        expected = (fault.becomes, fault.after, fault.suppress)
        assert (status, first.after, first.suppress) == expected
        assert "anna@" not in first.reason
    taken = len(smtpd.mails)
    assert taken == (fault.becomes == SENT) or fault.becomes == MAYBE
    before = smtpd.connections
    smtpd.script["end of data"] = [OWN]
    second = await pool.send(envelope("boris@example.com"))
    assert second == Outcome("sent", OWN.decode().strip())
    assert smtpd.mails[-1][1] == "RCPT TO:<boris@example.com>" and len(smtpd.mails) == taken + 1
    assert (smtpd.connections == before) == fault.reused
    await pool.close()
    return first


@pytest.mark.parametrize("fault", of_mail(), ids=lambda fault: fault.name[:60])
async def test_a_fault_touches_its_mail_alone(smtpd: ScriptedServer, fault: Fault) -> None:
    outcome = await becomes(smtpd, fault)
    # The second of two replies is found out by where the others come then.
    if outcome is not None and fault.becomes != SENT and fault.step != TWICE:
        assert f"at {fault.stage}" in outcome.reason


@pytest.mark.parametrize("fault", of_opening(), ids=lambda fault: fault.name[:60])
async def test_a_fault_while_a_connection_is_opened_fails_no_mail(
    smtpd: ScriptedServer, certified: tuple[ssl.SSLContext, ssl.SSLContext], fault: Fault
) -> None:
    settings: dict[str, Any] = {}
    if fault.stage == "STARTTLS":
        smtpd.tls, settings["tls"] = certified
    if fault.stage == "AUTH":
        smtpd.offers.append("AUTH PLAIN")
        settings |= {"user": "cinema", "password": "secret"}
    await becomes(smtpd, fault, **settings)


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "end of data"])
@pytest.mark.parametrize("step", [DROP, b"421 4.4.2 idle\r\n" + DROP, b"421 enough\r\n"])
async def test_a_reused_connection_that_ends_costs_a_mail_nothing_unless_it_may_have_been_sent(
    smtpd: ScriptedServer, stage: str, step: bytes
) -> None:
    pool = pool_of(smtpd, size=1)
    await pool.send(envelope())
    smtpd.script[stage] = [step]
    outcome = await pool.send(envelope())
    if stage == "end of data" and step == DROP:
        assert outcome.maybe
    else:
        assert outcome.status == "sent" and len(smtpd.mails) == 2
    assert (await pool.send(envelope())).status == "sent"
    assert smtpd.connections == 2
    await pool.close()


# -- a server that offers what it does not do


async def test_starttls_that_is_offered_and_speaks_no_tls_gets_no_mail_in_the_clear(
    smtpd: ScriptedServer,
) -> None:
    smtpd.offers.append("STARTTLS")
    pool = pool_of(smtpd, silent=True)
    with pytest.raises(Unreachable, match="STARTTLS"):
        await pool.send(envelope())
    assert not any(line.startswith("MAIL") for line in smtpd.commands)
    await pool.close()


async def test_a_login_that_no_offered_method_can_do_is_said(smtpd: ScriptedServer) -> None:
    smtpd.offers.append("AUTH GSSAPI")
    pool = pool_of(smtpd, user="cinema", password="secret")
    with pytest.raises(Unreachable, match="AUTH"):
        await pool.send(envelope())
    await pool.close()


@pytest.mark.parametrize(
    "refusal", [b"501 5.5.4 what is BODY?\r\n", b"504 what?\r\n", b"555 5.5.4 what is SIZE?\r\n"]
)
async def test_parameters_that_are_offered_and_then_not_known_are_left_out(
    smtpd: ScriptedServer, refusal: bytes
) -> None:
    smtpd.script["MAIL"] = [refusal]
    pool = pool_of(smtpd, size=1)
    assert (await pool.send(envelope())).status == "sent"
    assert (await pool.send(envelope())).status == "sent"
    plain = "MAIL FROM:<noreply@cinema.example>"
    assert [sender for sender, _, _ in smtpd.mails] == [plain, plain]
    assert smtpd.connections == 1
    await pool.close()


async def test_a_sender_that_is_refused_without_parameters_is_not_asked_again(
    smtpd: ScriptedServer,
) -> None:
    smtpd.always["MAIL"] = b"501 5.1.7 bad sender\r\n"
    outcome = await (pool := pool_of(smtpd, size=1)).send(envelope())
    assert outcome.status == "failed" and not outcome.suppress
    assert sum(line.startswith("MAIL") for line in smtpd.commands) == 2
    await pool.close()


async def test_smtputf8_that_is_offered_and_then_refused_fails_that_mail_alone(
    smtpd: ScriptedServer,
) -> None:
    smtpd.offers.append("SMTPUTF8")
    smtpd.script["RCPT"] = [b"553 5.6.7 not that address\r\n"]
    pool = pool_of(smtpd, size=1)
    outcome = await pool.send(envelope("анна@example.com", utf8=True))
    assert outcome.status == "failed" and not outcome.suppress
    assert (await pool.send(envelope())).status == "sent" and smtpd.connections == 1
    await pool.close()


async def test_a_size_that_was_offered_and_is_refused_at_the_end_fails_that_mail_alone(
    smtpd: ScriptedServer,
) -> None:
    smtpd.script["end of data"] = [b"552 5.3.4 too large after all\r\n"]
    pool = pool_of(smtpd, size=1)
    assert (await pool.send(envelope())).status == "failed"
    assert (await pool.send(envelope())).status == "sent" and smtpd.connections == 1
    await pool.close()


async def test_what_a_server_says_unasked_is_nobodys_reply(smtpd: ScriptedServer) -> None:
    pool = pool_of(smtpd, size=1)
    await pool.send(envelope())
    for writer in smtpd.writers:
        writer.write(b"550 5.1.1 out of the blue\r\n")
    await asyncio.sleep(0.05)
    assert (await pool.send(envelope())).status == "sent"
    await pool.close()
