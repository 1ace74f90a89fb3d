"""The pipelined dialogue against a model of a server: cut, joined, refused, lost at any byte."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sender.channels import Outcome
from sender.smtp.dialogue import Dialogue
from sender.smtp.parser import LINE, REPLY, Garbled, ReplyParser
from sender.smtp.replies import Reply
from sender.smtp.transaction import HungUp, Lost
from tests.sender.smtp_model import EXTENSIONS, Told, Wire

STAGES = ("MAIL", "RCPT", "DATA", "end of data", "RSET")
ANSWERS = ("as usual", "more", "550", "451", "421", "drop")


def mails(many: int = 3) -> list[Told]:
    return [Told(f"m{number}") for number in range(many)]


def statuses(wire: Wire) -> list[str]:
    """Return how the mails ended: statuses, `maybe`, or the names of errors."""
    told: list[str] = []
    for mail in wire.mails:
        (end,) = mail.ends
        if isinstance(end, Outcome):
            told.append("maybe" if end.maybe else end.status)
        else:
            told.append(type(end).__name__)
    return told


def test_a_mail_follows_the_other_in_one_write() -> None:
    dialogue = Dialogue(EXTENSIONS)
    first, second = mails(2)
    dialogue.begin(first)
    assert not dialogue.ready, "DATA waits for its reply"
    assert dialogue.output() == (
        b"MAIL FROM:<m0@cinema.example> BODY=8BITMIME SIZE=25\r\n"
        b"RCPT TO:<m0@example.com>\r\nDATA\r\n"
    )
    dialogue.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert dialogue.ready
    dialogue.begin(second)
    assert dialogue.output() == (
        b"Subject: m0\r\n\r\n..dot\r\n.\r\n"
        b"MAIL FROM:<m1@cinema.example> BODY=8BITMIME SIZE=25\r\n"
        b"RCPT TO:<m1@example.com>\r\nDATA\r\n"
    )
    assert dialogue.ended == []
    dialogue.receive(b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert dialogue.ended == [(first, Outcome("sent", "250 taken"))]
    assert dialogue.output() == b"Subject: m1\r\n\r\n..dot\r\n.\r\n"


def test_a_refused_mail_is_settled_when_the_reset_is_answered() -> None:
    dialogue = Dialogue(EXTENSIONS)
    first, second = mails(2)
    dialogue.begin(first)
    dialogue.output()
    dialogue.receive(b"250 ok\r\n550 5.1.1 no\r\n503 no\r\n")
    dialogue.begin(second)
    assert dialogue.output().startswith(b"RSET\r\nMAIL FROM:<m1@")
    assert dialogue.ended == []
    dialogue.receive(b"250 reset\r\n")
    assert dialogue.ended == [(first, Outcome("failed", "550 5.1.1 no (at RCPT)", suppress=True))]


@pytest.mark.parametrize("size", range(1, 60))
@pytest.mark.parametrize("nobody", [False, True])
def test_replies_mean_the_same_however_they_are_cut(size: int, nobody: bool) -> None:
    wire = Wire(nobody)
    wire.server.plan["RCPT"].extend(["more", "550", "as usual", "451"])
    wire.server.plan["MAIL"].extend(["as usual", "more", "as usual", "as usual", "550"])
    wire.server.plan["end of data"].extend(["more", "550"])
    wire.run(mails(7), size)
    assert statuses(wire) == ["sent", "failed", "failed", "retrying", "failed", "sent", "sent"]
    wire.check()


def lengths(way: str, nobody: bool) -> int:
    """Return how many bytes go one way while four mails are sent."""
    wire = Wire(nobody)
    wire.server.plan["RCPT"].extend(["as usual", "550"])
    moved = 0
    real: Callable[[int], None] = getattr(wire, way)

    def counting(size: int) -> None:
        nonlocal moved
        moved += len(wire.up if way == "to_server" else wire.down)
        real(size)

    setattr(wire, way, counting)
    wire.run(mails(4))
    return moved


@pytest.mark.parametrize("nobody", [False, True])
def test_a_drop_at_any_byte_leaves_every_mail_known_or_marked(nobody: bool) -> None:
    for way in ("to_server", "to_client"):
        for byte in range(lengths(way, nobody) + 1):
            wire = Wire(nobody)
            wire.server.plan["RCPT"].extend(["as usual", "550"])
            left = byte
            waiting = mails(4)
            while left and wire.dialogue.usable:
                while waiting and wire.dialogue.ready:
                    wire.begin(waiting.pop(0))
                if not wire.up and not wire.down:
                    break
                for one, moving in (("to_server", wire.up), ("to_client", wire.down)):
                    size = min(left, len(moving)) if one == way else len(moving)
                    left -= size if one == way else 0
                    getattr(wire, one)(size)
            wire.drop()
            assert all(mail.ends for mail in wire.mails)
            assert sum(status == "maybe" for status in statuses(wire)) <= 1
            wire.check()


@pytest.mark.parametrize("nobody", [False, True])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_at_a_stage_is_for_its_mail_alone(stage: str, answer: str, nobody: bool) -> None:
    wire = Wire(nobody)
    if stage == "RSET":
        wire.server.plan["RCPT"].extend(["as usual", "550"])
    wire.server.plan[stage].extend(["as usual"] * (stage != "RSET") + [answer])
    wire.run(mails(4))
    ends = statuses(wire)
    wire.check()
    assert ends[0] == "sent"
    if answer in ("421", "drop"):
        after = ["HungUp" if answer == "421" else "Lost"]
        if stage == "end of data" and answer == "drop":
            after = ["maybe"]
        if stage == "RSET":
            # It was refused before, which nothing speaks against.
            after = ["failed"]
        assert ends[1 : 1 + len(after)] == after and set(ends[2:]) <= {"Lost"}
    elif stage == "RSET" and answer in ("550", "451"):
        assert set(ends[1:]) == {"Lost"} and not wire.dialogue.usable
    else:
        refused = {"550": "failed", "451": "retrying"}.get(answer, "sent")
        assert ends[1:] == ["failed" if stage == "RSET" else refused, "sent", "sent"]


# -- what is no reply, or nobody's


@pytest.mark.parametrize("stray", [b"250 stray\r\n", b"550 5.1.1 stray\r\n", b"354 stray\r\n"])
def test_a_reply_behind_another_begins_no_content(stray: bytes) -> None:
    wire = Wire()
    (mail,) = mails(1)
    wire.begin(mail)
    wire.dialogue.receive(b"250 ok\r\n250 ok\r\n354 go\r\n" + stray)
    wire.flush()
    assert statuses(wire) == ["Lost"] and not wire.dialogue.usable
    assert b"Subject" not in wire.up


def test_half_a_reply_behind_another_begins_no_content() -> None:
    wire = Wire()
    wire.begin(*mails(1))
    wire.dialogue.receive(b"250 ok\r\n250 ok\r\n354 go\r\n55")
    wire.flush()
    assert statuses(wire) == ["Lost"] and b"Subject" not in wire.up


def test_a_recipient_that_is_accepted_for_a_mail_that_was_refused_gets_no_empty_one() -> None:
    wire = Wire()
    wire.begin(*mails(1))
    wire.dialogue.receive(b"550 no\r\n250 ok\r\n354 go\r\n")
    wire.flush()
    assert statuses(wire) == ["Lost"] and not wire.up.endswith(b"DATA\r\n.\r\n")


@pytest.mark.parametrize("said", [b"250 ok\r\n", b"334 \r\n", b"150 wait\r\n", b"654 no\r\n"])
def test_data_that_has_neither_its_start_nor_a_refusal_is_out_of_step(said: bytes) -> None:
    wire = Wire()
    wire.begin(*mails(1))
    wire.dialogue.receive(b"250 ok\r\n250 ok\r\n" + said)
    wire.flush()
    assert statuses(wire) == ["Lost"] and not wire.dialogue.usable


def test_a_mail_that_is_withdrawn_before_its_content_is_not_sent() -> None:
    wire = Wire()
    (mail,) = mails(1)
    wire.begin(mail)
    mail.withdrawn = True
    wire.dialogue.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    wire.flush()
    assert statuses(wire) == ["Lost"] and not wire.dialogue.usable
    assert b"Subject" not in wire.up and not wire.up.endswith(b".\r\n")


def test_a_mail_that_is_withdrawn_and_refused_costs_its_connection_nothing() -> None:
    wire = Wire()
    wire.server.plan["RCPT"].append("550")
    first, second = mails(2)
    wire.begin(first)
    first.withdrawn = True
    wire.run([second])
    assert statuses(wire) == ["failed", "sent"]


@pytest.mark.parametrize(
    "hostile",
    [
        b"what?\r\n",
        b"\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"\xb2\xb2\xb2 ok\r\n",
        b"250" + LINE * b"x",
        b"250-" + LINE * b"x" + b"\r\n",
        (REPLY // 10) * b"250-abcdef\r\n",
        b"250 " + LINE * b"x",
    ],
)
def test_what_is_no_reply_or_has_no_end_is_garbled(hostile: bytes) -> None:
    replies = ReplyParser().feed(b"250 ok\r\n" + hostile)
    assert next(replies) == Reply(250, "ok"), "what came before counts"
    with pytest.raises(Garbled):
        next(replies)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"250 ok\r\n", Reply(250, "ok")),
        (b"250\r\n", Reply(250, "")),
        (b"250 ok\n", Reply(250, "ok")),
        (b"250-a\r\n250-\r\n250 b\r\n", Reply(250, "a\n\nb")),
        (b"550 \xd0\xbd\xd0\xb5\xd1\x82\r\n", Reply(550, "нет")),
    ],
)
def test_a_reply_is_read_however_it_is_cut(data: bytes, reply: Reply) -> None:
    for cut in range(len(data) + 1):
        parser = ReplyParser()
        found = [*parser.feed(data[:cut])]
        assert parser.pending == (0 < cut < len(data))
        found += parser.feed(data[cut:])
        assert found == [reply] and not parser.pending


# -- anything, in any order


class DialogueMachine(RuleBasedStateMachine):
    """Mails over one connection after the other; each connection may have one stray reply."""

    def __init__(self) -> None:
        super().__init__()
        self.names = count()
        self.wire = Wire()

    @precondition(lambda self: not self.wire.dialogue.usable)
    @rule(nobody=st.booleans())
    def connect(self, nobody: bool) -> None:
        assert all(mail.ends for mail in self.wire.mails), "none is forgotten"
        self.wire = Wire(nobody)

    @precondition(lambda self: self.wire.dialogue.ready)
    @rule()
    def begin(self) -> None:
        self.wire.begin(Told(f"m{next(self.names)}x"))

    @rule(stage=st.sampled_from(STAGES), answer=st.sampled_from(ANSWERS), ahead=st.integers(0, 2))
    def plan(self, stage: str, answer: str, ahead: int) -> None:
        self.wire.server.plan[stage].extend(["as usual"] * ahead + [answer])

    @rule(size=st.one_of(st.just(1 << 20), st.integers(1, 40)))
    def to_server(self, size: int) -> None:
        self.wire.to_server(size)

    @rule(size=st.one_of(st.just(1 << 20), st.integers(1, 40)))
    def to_client(self, size: int) -> None:
        self.wire.to_client(size)

    @rule(to=st.integers(0, 5))
    def withdraw(self, to: int) -> None:
        if to < len(self.wire.mails):
            self.wire.mails[-1 - to].withdrawn = True

    @precondition(lambda self: not self.wire.strayed)
    @rule(code=st.sampled_from([250, 451, 550, 354, 421]))
    def stray(self, code: int) -> None:
        self.wire.strayed = True
        # Between replies: within one it is another reply.
        if not self.wire.down or self.wire.down.endswith(b"\r\n"):
            self.wire.down += b"%d stray\r\n" % code
            if code == 421:
                # Who says that takes nothing any more (RFC 5321, 3.8): one that did could not be
                # told from one whose answer to the content it was.
                self.wire.server.open = False

    @rule()
    def drop(self) -> None:
        self.wire.drop()

    @invariant()
    def each_has_its_own(self) -> None:
        self.wire.check()

    def teardown(self) -> None:
        self.wire.drop()
        assert all(mail.ends for mail in self.wire.mails)
        self.wire.check()


DialogueMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
TestDialogue: Any = DialogueMachine.TestCase


def test_a_server_that_hangs_up_on_a_mail_says_what_that_means() -> None:
    wire = Wire()
    wire.server.plan["RCPT"].extend(["as usual", "421"])
    wire.run(mails(2))
    (end,) = wire.mails[1].ends
    assert isinstance(end, HungUp) and isinstance(end, Lost)
    assert end.outcome.status == "retrying" and end.outcome.after is not None
