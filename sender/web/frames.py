"""The frames of `/ws`, as the contract words them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from sender.inbox import Kept
from streams.errors import InvalidRecord

# JavaScript's numbers are exact up to here, and ids stay below.
ID_LIMIT: Final = 1 << 53
EntryId = Annotated[int, msgspec.Meta(ge=0, lt=ID_LIMIT)]


class First(msgspec.Struct):
    """Who is there, and what they have seen already."""

    token: str
    last_id: EntryId | None = None


class Read(msgspec.Struct, tag_field="type", tag="read"):
    """Entries that the person has read."""

    # As many as fit into a frame.
    ids: Annotated[list[EntryId], msgspec.Meta(max_length=500)]


class Token(msgspec.Struct, tag_field="type", tag="token"):
    """A new token in place of one that is about to expire."""

    token: str


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Are you there?"""


class Hello(msgspec.Struct, tag_field="type", tag="hello"):
    """Where the inbox stands, and which entries up to the client's `last_id` are unread."""

    user_id: str
    unread: int
    last_id: int
    unread_ids: list[int] | msgspec.UnsetType = msgspec.UNSET


class Notification(msgspec.Struct, tag_field="type", tag="notification"):
    """One entry of the inbox."""

    id: int
    kind: str
    title: str
    body: str
    url: str
    created_at: str
    read: bool


class Unread(msgspec.Struct, tag_field="type", tag="unread"):
    """How many are unread now; `read` are those that have just been read, in whatever tab.

    Where it could not be heard what was read, `unread_ids` are all that are unread of those sent.
    """

    count: int
    read: list[int] = []
    unread_ids: list[int] | msgspec.UnsetType = msgspec.UNSET


class Gap(msgspec.Struct, tag_field="type", tag="gap", rename={"start": "from", "end": "to"}):
    """Entries after `from`, up to `to`, are no longer kept."""

    start: int
    end: int


class Pong(msgspec.Struct, tag_field="type", tag="pong"):
    """I am here."""


class Error(msgspec.Struct, tag_field="type", tag="error"):
    """What was wrong, for programs and for people."""

    code: str
    message: str


Sent = Hello | Notification | Unread | Gap | Pong | Error
Received = Read | Token | Ping

_encode: Final = msgspec.json.Encoder().encode
_first: Final = msgspec.json.Decoder(First)
_received: Final = msgspec.json.Decoder(Received)


def text_of(frame: Sent) -> str:
    """Return the frame as text."""
    return _encode(frame).decode()


def notification(kept: Kept) -> Notification:
    """Return the frame that shows an entry."""
    entry = kept.entry
    return Notification(
        entry.id,
        entry.kind,
        entry.title,
        entry.body,
        entry.url,
        entry.created_at.isoformat(),
        kept.read,
    )


def read_first(text: str) -> First | str:
    """Read the first frame: an older client's bare token (a str) where it is not JSON.

    Raises InvalidRecord for JSON that is not the first frame.
    """
    try:
        return _first.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidRecord(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        return text.strip()


def read_frame(text: str) -> Received:
    """Read a later frame; raises InvalidRecord for one that is not in the contract."""
    try:
        frame: Received = _received.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRecord(str(error)) from None
    return frame
