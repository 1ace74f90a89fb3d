"""What an SMTP reply means for a mail: sent, try again, or never (RFC 5321 4.2.1, RFC 3463)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, Literal, NamedTuple

from sender.channels import Outcome

Stage = Literal["connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end of data"]

# Greylisting servers let a mail in after 1 to 15 minutes (RFC 6647, 4.1 recommends 1 to 60).
GREYLISTED: Final = timedelta(minutes=15)
# Who asks for fewer mails means minutes (Gmail: "try again in a few minutes"), not seconds.
RATE_LIMITED: Final = timedelta(minutes=10)
# A mailbox is emptied when its owner sits down at it.
MAILBOX_FULL: Final = timedelta(hours=6)

ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
# The recipient's address is wrong for good. 5.1.7 and 5.1.8 are about the sender's (RFC 3463,
# 3.2), 5.1.9 about neither; 5.1.0 says nothing. 5.2.1: the mailbox is disabled.
BAD_ADDRESS: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.2.1"})
FULL: Final = frozenset({"4.2.2", "5.2.2"})
LIMITED: Final = frozenset({"4.7.28"})
# 451 by the issuers of greylisting, 450 by Postfix's policy services.
GREY: Final = frozenset({"4.7.1"})
# Without an enhanced code: exceeded storage allocation (RFC 5321, 4.2.3), temporary at RCPT
# (4.5.3.1.10).
EXCEEDED: Final = 552
# The server wants TLS or a login before anything else (RFC 4954, 6): our settings are wrong, not
# the mail.
NOT_ADMITTED: Final = frozenset({530, 534, 535, 538})
# A reply may quote the address; `deliveries` has the user's id already and needs no more.
QUOTED_ADDRESS: Final = re.compile(r"[^\s<>@]+@[^\s<>@]+")
# Enough for the sentence and a link; some servers write a page.
TEXT_LENGTH: Final = 160


class Reply(NamedTuple):
    """A server's answer; several lines are joined by line feeds."""

    code: int
    text: str

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code, where there is one that agrees with the code."""
        match = ENHANCED.search(self.text[:TEXT_LENGTH])
        return match[0] if match and match[1] == str(self.code)[0] else None

    @property
    def positive(self) -> bool:
        """Whether the command was carried out (2yz)."""
        return 200 <= self.code < 300

    @property
    def final(self) -> bool:
        """Whether it ends a mail (RFC 5321, 4.2.1): 1yz and 3yz do not, and there are no others."""
        return self.positive or 400 <= self.code < 600

    @property
    def about_server(self) -> bool:
        """Whether the server takes no mail at all from us now, this one or any other."""
        return self.code == 421 or self.code in NOT_ADMITTED

    @property
    def told(self) -> str:
        """The reply on one line, without addresses."""
        text = " ".join(self.text.split())
        if "@" in text:
            text = QUOTED_ADDRESS.sub("(address)", text)
        if not text.isprintable():
            text = "".join(mark if mark.isprintable() else "?" for mark in text)
        return f"{self.code} {text[:TEXT_LENGTH]}".strip()


def classify(reply: Reply, stage: Stage) -> Outcome:
    """Return what a reply means for the mail it answers, given at that stage."""
    if reply.positive and stage == "end of data":
        return Outcome("sent", reply.told)
    reason = f"{reply.told} (at {stage})"
    enhanced = reply.enhanced
    if enhanced in FULL or (reply.code == EXCEEDED and enhanced is None and stage == "RCPT"):
        return Outcome("retrying", reason, after=MAILBOX_FULL)
    if reply.code == 421 or enhanced in LIMITED:
        return Outcome("retrying", reason, after=RATE_LIMITED)
    if enhanced in GREY:
        return Outcome("retrying", reason, after=GREYLISTED)
    if 500 <= reply.code < 600:
        at_recipient = stage in ("RCPT", "DATA", "end of data")
        return Outcome("failed", reason, suppress=at_recipient and enhanced in BAD_ADDRESS)
    # 4yz, and anything that has no place here: nothing was taken, so it can be tried again.
    return Outcome("retrying", reason)
