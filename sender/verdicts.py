"""What the ledger says of a job, and how it keeps an outcome that is not final yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, NamedTuple

import msgspec

from sender.channels import Outcome
from streams.jobs import Suppression

State = Literal["mine", "done", "in hand", "foreign", "maybe", "known", "erased", "suppressed"]
OURS: Final[frozenset[State]] = frozenset({"mine", "maybe", "in hand", "known", "suppressed"})


class Verdict(NamedTuple):
    """What the ledger says about a job that someone wants to deliver.

    mine: deliver it. maybe: deliver it, but another may have, whose lease ran out. done: drop it,
    it or a later attempt has been through. known: it was tried, this was the outcome, and nobody
    knows whether that was written down. foreign: another has it, for `left` yet. in hand: we have
    claimed it, and nobody else has since. erased: it is of before the person's erasure.
    suppressed: it is ours, whatever was known of it, and a mail to an address that gets none.
    """

    state: State
    left: timedelta = timedelta()
    outcome: Outcome | None = None

    @property
    def ours(self) -> bool:
        """Whether the job is in our hands now."""
        return self.state in OURS


_decode_suppression: Final = msgspec.json.Decoder(Suppression).decode


class _Noted(msgspec.Struct, array_like=True):
    status: Literal["sent", "skipped", "failed", "retrying", "deferred"]
    reason: str
    after: float | None
    suppress: bool


def encode_outcome(outcome: Outcome) -> bytes:
    """Return an outcome as the ledger keeps it; its records are made anew."""
    after = outcome.after.total_seconds() if outcome.after is not None else None
    return msgspec.json.encode(_Noted(outcome.status, outcome.reason, after, outcome.suppress))


def decode_verdict(text: bytes) -> Verdict:
    """Return what the claiming script said of one job."""
    state, _, rest = text.partition(b" ")
    if state == b"foreign":
        return Verdict("foreign", left=timedelta(milliseconds=int(rest)))
    if state == b"known":
        noted = msgspec.json.decode(rest, type=_Noted)
        after = timedelta(seconds=noted.after) if noted.after is not None else None
        return Verdict("known", outcome=Outcome(noted.status, noted.reason, after, noted.suppress))
    if state == b"suppressed":
        reason = _decode_suppression(rest).reason
        return Verdict("suppressed", outcome=Outcome("skipped", f"suppressed: {reason}"))
    return Verdict(text.decode())  # type: ignore[arg-type]
