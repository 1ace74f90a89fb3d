"""A mail server without a connection, and the wire between it and the dialogue."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from sender.channels import Outcome
from sender.smtp.dialogue import Dialogue
from sender.smtp.envelope import Envelope, on_the_wire
from sender.smtp.transaction import End, HungUp, Lost, Transaction

EXTENSIONS = {"pipelining": "", "8bitmime": "", "size": "1000000"}


class ModelServer:
    """Answers commands as RFC 5321 and RFC 2920 say, and refuses what it is told to.

    `plan` has the answers to come for a verb: a code, `drop`, or `more` for a reply of two lines.
    A reply names the recipient that it is for, or `nobody`. `taken` are the mails it has.
    """

    def __init__(self, data_for_nobody: bool = False) -> None:
        self.plan: defaultdict[str, deque[str]] = defaultdict(deque)
        self.taken: list[tuple[str, bytes]] = []
        self.open = True
        self._data_for_nobody = data_for_nobody
        self._input = b""
        self._mail = False
        self._recipient = ""
        self._content: bytes | None = None

    def receive(self, data: bytes, on_the_way: bytes) -> bytes:
        """Take bytes, of which more are on the way; return what it says."""
        self._input += data
        said = b""
        while self.open:
            if self._content is None:
                line, end, rest = self._input.partition(b"\r\n")
                if not end:
                    break
                self._input = rest
                said += self._command(line.decode(), rest + on_the_way)
            else:
                # The CRLF before belongs to DATA.
                whole = b"\r\n" + self._input
                content, end, rest = whole.partition(b"\r\n.\r\n")
                if not end:
                    break
                self._input = rest
                said += self._end_of_data(content[2:] + end)
        return said

    def _command(self, line: str, ahead: bytes) -> bytes:
        verb = line.partition(" ")[0]
        named = self._recipient or "nobody"
        match verb:
            case "MAIL":
                if self._mail:
                    return self._say(verb, "503 nested")
                said = self._say(verb, f"250 for {line.split('<')[1].split('@')[0]}")
                self._mail = said[:1] == b"2"
                return said
            case "RCPT":
                name = line.split("<")[1].split("@")[0]
                if not self._mail:
                    return b"503 no mail for " + name.encode() + b"\r\n"
                said = self._say(verb, f"250 for {name}")
                self._recipient = name if said[:1] == b"2" else ""
                return said
            case "DATA":
                assert not ahead, "DATA is the last command of a group (RFC 2920, 3.1)"
                if not self._recipient and not (self._data_for_nobody and self._mail):
                    return b"503 nobody\r\n"
                said = self._say(verb, f"354 for {named}")
                if said[:3] == b"354":
                    self._content = b""
                return said
            case "RSET":
                said = self._say(verb, "250 reset")
                if said[:1] == b"2":
                    self._mail, self._recipient = False, ""
                return said
            case "NOOP" | "QUIT":
                return self._say(verb, "250 yes")
        raise AssertionError(f"content taken for a command: {line}")

    def _end_of_data(self, content: bytes) -> bytes:
        name = self._recipient
        said = self._say("end of data", f"250 for {name}") if name else b"554 nobody\r\n"
        if name and said[:1] == b"2":
            self.taken.append((name, content))
        self._mail, self._recipient, self._content = False, "", None
        return said

    def _say(self, stage: str, usual: str) -> bytes:
        plan = self.plan[stage].popleft() if self.plan[stage] else "as usual"
        code, _, text = usual.partition(" ")
        if plan == "drop":
            self.open = False
            return b""
        if plan == "more":
            return f"{code}-{text}\r\n{code} {text}\r\n".encode()
        if plan.isdigit():
            code = plan
            self.open = code != "421"
        return f"{code} {text}\r\n".encode()


@dataclass(eq=False)
class Told(Transaction):
    """A mail of the test, and how it ended."""

    name: str
    ends: list[End] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.content = f"Subject: {self.name}\r\n\r\n.dot\r\n".encode()
        super().__init__(
            Envelope(
                f"{self.name}@cinema.example",
                f"{self.name}@example.com",
                False,
                lambda eightbit: self.content,
            )
        )


class Wire:
    """A dialogue, a server, and the bytes that are on the way between them."""

    def __init__(self, data_for_nobody: bool = False) -> None:
        self.dialogue = Dialogue(EXTENSIONS)
        self.server = ModelServer(data_for_nobody)
        self.up = self.down = b""
        self.mails: list[Told] = []
        #: Replies that nobody asked for were among those of the server.
        self.strayed = False

    def begin(self, mail: Told) -> None:
        self.mails.append(mail)
        self.dialogue.begin(mail)
        self.flush()

    def flush(self) -> None:
        """Do what a connection does after each event."""
        self.up += self.dialogue.output()
        for mail, end in self.dialogue.ended:
            assert isinstance(mail, Told)
            mail.ends.append(end)
        self.dialogue.ended = []

    def to_server(self, size: int) -> None:
        data, self.up = self.up[:size], self.up[size:]
        if self.server.open:
            self.down += self.server.receive(data, self.up)

    def to_client(self, size: int) -> None:
        data, self.down = self.down[:size], self.down[size:]
        if self.dialogue.usable:
            self.dialogue.receive(data)
            self.flush()
            if not self.server.open and not self.down:
                self.drop()

    def drop(self) -> None:
        self.dialogue.lose("connection lost")
        self.flush()

    def run(self, mails: list[Told], size: int = 1 << 20, up: int = 1 << 20) -> None:
        """Send mails, as they may go, in pieces of a size; stop when nothing moves."""
        waiting = deque(mails)
        while True:
            while waiting and self.dialogue.ready:
                self.begin(waiting.popleft())
            if not self.dialogue.usable or not (self.up or self.down):
                break
            self.to_server(up)
            self.to_client(size)

    def check(self) -> None:
        """Hold each mail's end against what the server has."""
        names = [name for name, _ in self.server.taken]
        assert len(names) == len(set(names))
        for mail in self.mails:
            assert len(mail.ends) <= 1, "one end for each mail"
            for end in mail.ends:
                self._check(mail, end, names.count(mail.name))
        contents = dict(self.server.taken)
        for mail in self.mails:
            if mail.name in contents:
                assert contents[mail.name] == on_the_wire(mail.content)

    def _check(self, mail: Told, end: End, taken: int) -> None:
        said = end.outcome if isinstance(end, HungUp) else end
        if isinstance(end, Lost):
            assert not taken, "not sent, it goes again without a mark"
        if isinstance(said, Outcome) and not said.maybe:
            if self.strayed and "stray" in said.reason:
                return
            assert f"for {mail.name}" in said.reason, "the reply is its own"
            assert taken == (said.status == "sent")
