"""One mail on its way to a server (a mail transaction, RFC 5321, 3.3), and how it may end early."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from sender.channels import Outcome
from sender.smtp.envelope import Envelope, on_the_wire
from streams.errors import InvalidMail, Undelivered

START_INPUT: Final = 354
CLOSING: Final = 421
# The server does not know what stands behind the address (RFC 5321, 4.1.1.11), though it offered
# it in its EHLO.
UNKNOWN_PARAMETERS: Final = frozenset({501, 504, 555})
# A line end in an address would be a command of its own.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Lost(Undelivered):
    """The connection ended before the server had the mail."""


class HungUp(Lost):
    """The server said 421 to the mail: it closes the connection. `outcome` is what that means."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Transaction:
    """A mail that is being sent.

    `withdrawn`: nobody wants it sent any more; its content is not begun. `reused`: its connection
    is not new, so that its end says nothing about the server.
    """

    def __init__(self, envelope: Envelope) -> None:
        """Have said nothing yet."""
        self.envelope = envelope
        self.withdrawn = False
        self.reused = False


#: What became of a mail: an outcome, or why there is none.
End = Outcome | Exception


class Spoken(NamedTuple):
    """What a mail is in commands, without their line ends, and in content with its end."""

    mail: bytes
    rcpt: bytes
    content: bytes
    parameters: bool


def spoken(envelope: Envelope, extensions: Mapping[str, str]) -> Spoken | Outcome:
    """Return a mail as a server with those extensions wants it; its outcome if it takes no such.

    Raises InvalidMail for one that cannot be written.
    """
    if CONTROL.search(envelope.sender) or CONTROL.search(envelope.recipient):
        raise InvalidMail("an address holds a control character")
    parameters = ""
    eightbit = "8bitmime" in extensions
    content = on_the_wire(envelope.build(eightbit))
    if eightbit:
        parameters = " BODY=8BITMIME"
    if (limit := extensions.get("size")) is not None:
        if limit.isdigit() and 0 < int(limit) < len(content):
            return Outcome("failed", f"{len(content)} bytes are over the server's {limit}")
        parameters += f" SIZE={len(content)}"
    if envelope.needs_smtputf8:
        if "smtputf8" not in extensions:
            return Outcome("failed", "the address needs SMTPUTF8, which the server has not")
        parameters += " SMTPUTF8"
    mail = f"MAIL FROM:<{envelope.sender}>{parameters}".encode()
    return Spoken(mail, f"RCPT TO:<{envelope.recipient}>".encode(), content, bool(parameters))


def maybe(why: str) -> Outcome:
    """Return the outcome of a mail whose end may have reached the server, without an answer."""
    return Outcome("retrying", f"maybe sent: {why} (at end of data)", maybe=True)
