"""The mails that have come in, newest last."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from dev.mailbox.parse import Summary, summarise

# The contract's number: more than the demo sends; at 12 kB a mail 600 MB.
KEEP: Final = 50_000


@dataclass(slots=True)
class Mail:
    """One mail as it came over SMTP, with its envelope."""

    id: str
    content: bytes
    sender: str
    recipients: tuple[str, ...]
    created: datetime
    _summary: Summary | None = field(default=None, repr=False)

    @property
    def summary(self) -> Summary:
        """The headers that a list shows; read once, and not while mails come in."""
        if self._summary is None:
            self._summary = summarise(self.content, self.recipients)
        return self._summary


class Mailbox:
    """The last `keep` mails."""

    def __init__(self, keep: int = KEEP) -> None:
        self.keep = keep
        self._mails: OrderedDict[str, Mail] = OrderedDict()

    def __len__(self) -> int:
        return len(self._mails)

    def add(self, content: bytes, sender: str, recipients: Sequence[str]) -> Mail:
        """Keep a mail; the oldest goes when there are too many."""
        mail = Mail(
            secrets.token_urlsafe(12), content, sender, tuple(recipients), datetime.now(UTC)
        )
        self._mails[mail.id] = mail
        if len(self._mails) > self.keep:
            self._mails.popitem(last=False)
        return mail

    def get(self, id: str) -> Mail | None:
        """Return a mail by its id."""
        return self._mails.get(id)

    def newest(self, start: int, limit: int) -> Iterator[Mail]:
        """Yield up to `limit` mails, newest first, without the first `start`."""
        return islice(reversed(self._mails.values()), start, start + limit)

    def delete(self, ids: Sequence[str] = ()) -> None:
        """Forget those mails, all of them when none is named."""
        if not ids:
            self._mails.clear()
        for id in ids:
            self._mails.pop(id, None)
