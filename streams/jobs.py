"""What the service says to the outside: send jobs, deliveries, inbox entries, dead letters."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

import msgspec

Status = Literal["sent", "skipped", "deferred", "retrying", "failed"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
FINAL_STATUSES: Final = frozenset({"sent", "skipped", "failed"})


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record that led to a decision; the origin of a forwarded one."""

    topic: str
    partition: int
    offset: int
    event_id: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One notification to one person over one channel (topics `outbox*` and `held`).

    `to` is an address for email and the user id for every other channel. `context` holds what the
    template needs, as JSON data. `not_before` is set only on `held`.
    """

    job_id: str
    user_id: str
    channel: str
    kind: str
    template: str
    locale: str
    timezone: str
    to: str
    context: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    attempt: int
    cause: Cause
    not_before: datetime | None = None

    @property
    def people(self) -> tuple[str, ...]:
        """The one it is for."""
        return (self.user_id,)

    def delivery(self, status: Status, reason: str, at: datetime) -> Delivery:
        """Return what is to be said of the job under its own id."""
        return Delivery(
            job_id=self.job_id,
            user_id=self.user_id,
            channel=self.channel,
            kind=self.kind,
            status=status,
            reason=reason,
            attempt=self.attempt,
            at=at,
            cause=self.cause,
        )


class Erase(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="erase"):
    """Forget a person, on `outbox_urgent`: inbox, lists, links and the ledger's entries."""

    user_id: str
    at: datetime
    cause: Cause


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one notification, also of one decided against (topic `deliveries`)."""

    job_id: str
    user_id: str
    channel: str
    kind: str
    status: Status
    reason: str
    attempt: int
    at: datetime
    cause: Cause


class InboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a person's inbox (topic `inbox`); ids rise strictly for each user."""

    id: int
    job_id: str
    kind: str
    title: str
    body: str
    url: str
    created_at: datetime


class InboxRead(msgspec.Struct, frozen=True):
    """Entries that the person has read (topic `inbox`)."""

    read: list[int]


class InboxErased(msgspec.Struct, frozen=True):
    """The person was erased: entries made until then are gone (topic `inbox`)."""

    erased: datetime


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed address, for the cinema's own auth service (topic `confirmations`)."""

    user_id: str
    email: str
    at: datetime

    @property
    def people(self) -> tuple[str, ...]:
        """The one who confirmed."""
        return (self.user_id,)


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """An address nothing is sent to (topic `suppressions`, keyed by `address_hash`)."""

    reason: str
    at: datetime


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """A token, or all of a person's, good for nothing any more (topic `revocations`).

    Its key is a hash of whose or which (see streams/revocations.py).
    """

    at: datetime


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be used (topic `dead_letters`).

    `key`, `value` and `headers` are base64, the value's first MiB; `length` and `sha256` are of the
    whole value. `error` is the error's class and message, `stack` our frames from where it was
    raised outwards. `timestamp` is the record's own time, `origin` the identity a replay keeps.
    """

    topic: str
    partition: int
    offset: int
    key: str | None
    value: str | None
    length: int
    sha256: str
    error: str
    stack: list[str]
    at: datetime
    timestamp: datetime
    headers: dict[str, str | None]
    origin: str


def job_id(occasion: str, kind: str, user_id: str, channel: str) -> str:
    """Return the job's id: 128 bits in hex of the occasion, kind, user and channel.

    The same decision made twice, in whatever order, has the same id. The parts are joined by a
    byte that no part can hold, so that no two different occasions meet.
    """
    text = "\x00".join((occasion, kind, user_id, channel))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def address_hash(address: str) -> str:
    """Return the key of an address in `suppressions`: no address stands in a compacted topic."""
    return blake2b(address.strip().lower().encode(), digest_size=16).hexdigest()


encode = msgspec.json.Encoder().encode
decode_job = msgspec.json.Decoder(Job).decode
_decode_erase = msgspec.json.Decoder(Erase).decode
decode_delivery = msgspec.json.Decoder(Delivery).decode
decode_revocation = msgspec.json.Decoder(Revocation).decode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
_decode_entry = msgspec.json.Decoder(InboxEntry).decode
_decode_read = msgspec.json.Decoder(InboxRead).decode
_decode_erased = msgspec.json.Decoder(InboxErased).decode


def decode_outbox(value: bytes) -> Job | Erase:
    """Return what an outbox's value says: a job, or that a person is to be forgotten."""
    try:
        return decode_job(value)
    except msgspec.ValidationError:
        if b'"erase"' not in value:
            raise
        return _decode_erase(value)


def decode_inbox(value: bytes) -> InboxEntry | InboxRead | InboxErased:
    """Return what a value of `inbox` says; told apart by its only field, or by there being more."""
    if value.startswith(b'{"read"'):
        return _decode_read(value)
    if value.startswith(b'{"erased"'):
        return _decode_erased(value)
    return _decode_entry(value)
