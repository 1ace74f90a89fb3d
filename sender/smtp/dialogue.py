"""Pipelined SMTP without a connection (RFC 2920): bytes in, bytes out, and how each mail ended.

An envelope (MAIL, RCPT, DATA) goes in one write, and the end of a content together with the next
envelope: one round trip a mail. Replies are told apart by their order alone, so whatever is out of
order ends the dialogue: a reply that nothing was written for, a 354 that is not at its place, a
refusal that the server's next answers do not fit to. A mail that was refused is settled only when
RSET, which goes ahead of the next envelope, has its own positive reply.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal, NamedTuple

from sender.channels import Outcome
from sender.smtp.opening import Unreachable
from sender.smtp.parser import Garbled, ReplyParser
from sender.smtp.replies import Reply, Stage, classify
from sender.smtp.transaction import (
    CLOSING,
    START_INPUT,
    UNKNOWN_PARAMETERS,
    End,
    HungUp,
    Lost,
    Transaction,
    maybe,
    spoken,
)

Step = Stage | Literal["no data", "RSET", "NOOP", "QUIT"]


class _Turn:
    """A mail in the dialogue: what it says, and the reply that refused it."""

    __slots__ = ("content", "mail", "parameters", "refusal", "stage")

    def __init__(self, mail: Transaction) -> None:
        self.mail = mail
        self.content = b""
        self.parameters = False
        self.refusal: Reply | None = None
        self.stage: Stage = "MAIL"

    @property
    def refused(self) -> Outcome:
        assert self.refusal is not None
        return classify(self.refusal, self.stage)


class Awaited(NamedTuple):
    """A reply that is to come: what for, and whose."""

    step: Step
    turn: _Turn | None


class Dialogue:
    """The client's side, after EHLO.

    `usable` is whether another mail may be begun, ever; `mails` how many were; `ended` how mails
    have ended, for the caller to take.
    """

    def __init__(self, extensions: Mapping[str, str]) -> None:
        """Speak to a server that has offered those extensions."""
        self.usable = True
        self.mails = 0
        self.ended: list[tuple[Transaction, End]] = []
        self._extensions = extensions
        self._parser = ReplyParser()
        self._awaited: deque[Awaited] = deque()
        self._output: list[bytes] = []
        # How many of the awaited replies are to what is still in the output.
        self._unwritten = 0
        # DATA is the last command that may be written before its reply (RFC 2920, 3.1); so is NOOP.
        self._barred = False

    @property
    def ready(self) -> bool:
        """Whether an envelope may be written now."""
        return self.usable and not self._barred

    @property
    def awaited(self) -> Awaited | None:
        """The reply that is to come next."""
        return self._awaited[0] if self._awaited else None

    def begin(self, mail: Transaction) -> None:
        """Write a mail's envelope; the dialogue must be `ready`."""
        assert self.ready
        self._start(_Turn(mail))

    def ask(self) -> None:
        """Ask the server whether it is still there; no mail must be under way."""
        assert not self._awaited
        self._barred = True
        self._say(b"NOOP\r\n", "NOOP")

    def quit(self) -> None:
        """Say goodbye; no mail must be under way."""
        assert not self._awaited
        self.usable = False
        self._say(b"QUIT\r\n", "QUIT")

    def output(self) -> bytes:
        """Take what is to be written at once."""
        output, self._output = b"".join(self._output), []
        self._unwritten = 0
        return output

    def receive(self, data: bytes) -> None:
        """Take what the server has sent."""
        try:
            for reply in self._parser.feed(data):
                if not self._awaited and not self.usable:
                    return
                self._take(reply)
        except Garbled as error:
            self._confused(str(error))
            return
        if self._parser.pending and len(self._awaited) <= self._unwritten:
            self._confused("more than one reply")

    def lose(self, why: str) -> None:
        """End: the connection is lost, or nobody waits any longer."""
        self._end(why, heard=True)

    def _start(self, turn: _Turn) -> None:
        mail = turn.mail
        try:
            said = spoken(mail.envelope, self._extensions)
        except Exception as error:
            self.ended.append((mail, error))
            return
        if isinstance(said, Outcome):
            self.ended.append((mail, said))
            return
        self.mails += 1
        turn.content, turn.parameters = said.content, said.parameters
        self._output.append(b"%b\r\n%b\r\nDATA\r\n" % (said.mail, said.rcpt))
        self._awaited += (Awaited("MAIL", turn), Awaited("RCPT", turn), Awaited("DATA", turn))
        self._unwritten += 3
        self._barred = True

    def _say(self, data: bytes, step: Step, turn: _Turn | None = None) -> None:
        self._output.append(data)
        self._awaited.append(Awaited(step, turn))
        self._unwritten += 1

    def _take(self, reply: Reply) -> None:
        if len(self._awaited) <= self._unwritten:
            self._confused(f"{reply.told}: nothing was asked")
            return
        awaited = self._awaited[0]
        step, turn = awaited
        if step == "QUIT":
            self._awaited.popleft()
        elif reply.code == CLOSING:
            self._closing(reply, awaited)
        elif step == "end of data":
            assert turn is not None
            self._taken(reply, turn)
        elif step == "DATA":
            assert turn is not None
            self._data(reply, turn)
        elif step in ("MAIL", "RCPT"):
            assert turn is not None
            self._envelope(reply, turn, step)
        elif step == "no data":
            # Nobody's mail: the server had no recipient for it.
            self._awaited.popleft()
        elif not reply.positive:
            self._confused(f"{reply.told}: not what was asked")
        else:
            self._awaited.popleft()
            if turn is not None:
                self.ended.append((turn.mail, turn.refused))
            elif step == "NOOP":
                self._barred = False

    def _envelope(self, reply: Reply, turn: _Turn, step: Stage) -> None:
        if not reply.final:
            self._confused(f"{reply.told}: not what was asked")
        elif reply.about_server and turn.refusal is None:
            self._not_admitted(reply, turn, step)
        elif turn.refusal is not None and reply.positive:
            # A recipient of no mail: what was refused was another command.
            self._confused(f"{reply.told}: not what was asked")
        else:
            self._awaited.popleft()
            if turn.refusal is None and not reply.positive:
                turn.refusal, turn.stage = reply, step

    def _data(self, reply: Reply, turn: _Turn) -> None:
        started = reply.code == START_INPUT
        if not started and not 400 <= reply.code < 600:
            self._confused(f"{reply.told}: not what was asked")
        elif reply.about_server and turn.refusal is None:
            self._not_admitted(reply, turn, "DATA")
        elif started and turn.mail.withdrawn and turn.refusal is None:
            # An end here would send an empty mail.
            self._end("withdrawn", heard=True)
        else:
            self._awaited.popleft()
            self._barred = False
            if started and turn.refusal is None:
                self._say(turn.content, "end of data", turn)
                return
            if started:
                # The server takes data for nobody; it wants its end (RFC 2920, 3.1).
                self._say(b".\r\n", "no data")
            elif turn.refusal is None:
                turn.refusal, turn.stage = reply, "DATA"
            self._refused(turn)

    def _refused(self, turn: _Turn) -> None:
        """Make the server ready for the next mail, and see that it counts as we do."""
        assert turn.refusal is not None
        again = turn.stage == "MAIL" and turn.parameters
        if again and turn.refusal.code in UNKNOWN_PARAMETERS:
            # It offers what it does not do: then without.
            self._extensions = {}
            turn.refusal = None
            self._say(b"RSET\r\n", "RSET")
            if turn.mail.withdrawn:
                self.ended.append((turn.mail, Lost("withdrawn")))
            else:
                self.mails -= 1
                self._start(turn)
        else:
            self._say(b"RSET\r\n", "RSET", turn)

    def _taken(self, reply: Reply, turn: _Turn) -> None:
        self._awaited.popleft()
        if not reply.final:
            self.ended.append((turn.mail, maybe(reply.told)))
            self._confused(reply.told)
            return
        self.ended.append((turn.mail, classify(reply, "end of data")))
        if reply.about_server:
            self._end(reply.told, heard=True)

    def _not_admitted(self, reply: Reply, turn: _Turn, step: Stage) -> None:
        self.ended.append((turn.mail, Unreachable(f"{reply.told} (at {step})")))
        self._end(reply.told, heard=True, but=turn)

    def _closing(self, reply: Reply, awaited: Awaited) -> None:
        """Take a 421: nobody is answered any more, and the content it answers is not taken."""
        step, turn = awaited
        if turn is None or turn.refusal is not None:
            self._end(reply.told, heard=True)
            return
        assert step in ("MAIL", "RCPT", "DATA", "end of data")
        self.ended.append((turn.mail, HungUp(classify(reply, step))))
        self._end(reply.told, heard=True, but=turn)

    def _confused(self, why: str) -> None:
        """End since replies and commands do not fit: a refusal may have been another's."""
        self._end(why, heard=False)

    def _end(self, why: str, *, heard: bool, but: _Turn | None = None) -> None:
        """End all that is under way, except for a mail that has its end already."""
        written = len(self._awaited) - self._unwritten
        done: list[_Turn | None] = [None, but]
        for place, (step, turn) in enumerate(self._awaited):
            if turn is None or turn in done:
                continue
            done.append(turn)
            end: End
            if step == "end of data" and place < written:
                end = maybe(why)
            elif turn.refusal is not None and heard:
                end = turn.refused
            else:
                end = Lost(f"{why} (at {turn.stage if turn.refusal else step})")
            self.ended.append((turn.mail, end))
        self.usable = False
        self._awaited.clear()
        self._output.clear()
        self._unwritten = 0
