"""What a connection works for, and what it shows of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from sender.smtp.transaction import End, Transaction


class Connection(Protocol):
    """An open connection. Times are monotonic seconds.

    `mails` is how many were tried on it, `used` when it was last used, `usable` whether another
    may be tried, `ready` whether it may be begun now.
    """

    opened: float
    used: float

    @property
    def mails(self) -> int:
        """How many were begun."""

    @property
    def usable(self) -> bool:
        """Whether another may be begun, now or later."""

    @property
    def ready(self) -> bool:
        """Whether another may be begun now."""

    def work(self) -> None:
        """Take mails from the host for as long as it has any; then be free or gone."""

    def alive(self) -> Awaitable[bool]:
        """Ask the server whether it is still there; until then it is not `ready`.

        Whoever asked has it `work` after.
        """

    def quit(self) -> Awaitable[None]:
        """Close in good order; a server that does not answer is not waited for."""

    def lose(self, why: str) -> None:
        """Wait for nothing any more, and close: what was not answered has that reason."""


class Host(Protocol):
    """What has mails, and connections."""

    def next(self, connection: Connection) -> Transaction | None:
        """Give the mail that has waited longest, if there is one for that connection."""

    def ended(self, ends: Sequence[tuple[Transaction, End]]) -> None:
        """Hear what became of mails."""

    def free(self, connection: Connection) -> None:
        """Hear that a connection has nothing to do."""

    def gone(self, connection: Connection) -> None:
        """Hear that a connection is closed."""
