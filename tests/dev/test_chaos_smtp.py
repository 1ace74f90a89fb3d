"""The mail server that has bad days: what it writes down is what happened."""

from __future__ import annotations

import asyncio
import smtplib
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from dev.chaos import maillog, smtp
from dev.chaos.faults import STAGES, Fate, Shares, throw
from dev.chaos.marks import mark, marks_in, told_by
from tests.conftest import running

MAILS = 150


def test_the_dice_fall_as_often_as_the_shares_say() -> None:
    dice, shares = Random(1), Shares()
    fates = [throw(dice, shares) for _ in range(20_000)]
    refused = Counter(fate.reply[0] for fate in fates if fate.reply)
    assert 0.04 < refused["4"] / len(fates) < 0.06
    assert 0.006 < refused["5"] / len(fates) < 0.014
    assert 0.006 < sum(fate.drop for fate in fates) / len(fates) < 0.014
    assert {fate.stage for fate in fates if fate.drop} == set(STAGES)
    assert {fate.taken for fate in fates if fate.drop} == {True, False}
    assert [throw(Random(1), shares) for _ in range(3)] == [throw(Random(1), shares)] * 3


def test_a_good_day_has_no_bad_fate() -> None:
    dice = Random(1)
    assert {throw(dice, Shares.none()) for _ in range(1000)} == {Fate()}


def test_marks_survive_a_line_break_of_quoted_printable() -> None:
    one, person = mark("l", 7), mark("p", 12)
    text = f"Dear {person}, {one[:5]}=\r\n{one[5:]}, {one}".encode()
    assert marks_in(text) == [person, one]
    assert told_by([person, one]) == one
    assert told_by([person]) == person
    assert told_by([]) is None


def said(server: str, number: int) -> str:
    """Send one mail as a client without retries would; return what became of it, as it knows."""
    host, _, port = server.rpartition(":")
    message = f"Message-ID: <m{number}@x>\r\nSubject: {mark('l', number)}\r\n\r\nhello"
    try:
        with smtplib.SMTP(host, int(port), timeout=10) as client:
            client.sendmail("a@example.com", [f"r{number}@example.com"], message)
    except smtplib.SMTPRecipientsRefused as error:
        ((code, _),) = error.recipients.values()
        return str(code)
    except smtplib.SMTPResponseException as error:
        return str(error.smtp_code)
    except (smtplib.SMTPServerDisconnected, ConnectionError):
        return "dropped"
    return "taken"


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_clients_were_told_is_what_the_log_says(tmp_path: Path, seed: int) -> None:
    service, _ = smtp.service(tmp_path, seed, Shares(20, 10, 10, 0, 5))
    async with running(service):
        told = [await asyncio.to_thread(said, service.address, one) for one in range(MAILS)]
    lines = list(maillog.read(tmp_path))
    taken = {line.message_id: line for line in lines if line.what == "taken"}
    for number, outcome in enumerate(told):
        line = taken.get(f"m{number}")
        # A mail is taken whenever its sender was told so, and at times though nobody was told.
        assert (line is not None and line.said) == (outcome == "taken"), number
        if line is not None:
            assert (line.to, line.marks) == (f"r{number}@example.com", [mark("l", number)])
            assert line.said or outcome == "dropped"
    refused = Counter(line.code[:3] for line in lines if line.what == "refused")
    # A channel that is closed with its last word may lose it.
    assert Counter(one for one in told if one[0] in "45" and one != "421") == refused - Counter(
        {"421": refused["421"]}
    )
    cut = sum(line.what == "dropped" or not line.said for line in lines)
    assert cut + refused["421"] == told.count("dropped") + told.count("421")
    assert {line.stage for line in lines} >= {"connect", "EHLO", *STAGES}
    assert len({line.number for line in lines if line.number}) == sum(refused.values())
