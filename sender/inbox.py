"""A person's inbox in Redis: what `/ws` serves, and what the topic `inbox` can rebuild.

Four keys a user: `i:` the entries (a stream whose ids are ours), `iu:` the ids that are unread,
`ij:` job id to entry id, `is:` the last id given and the last one dropped. Ids rise strictly for a
user. Everything that changes goes over the user's pub/sub channel. A socket that subscribes to
`channel(user)`, waits for the subscription's acknowledgement and then replays every `page` after
its cursor misses nothing and repeats nothing: an `Added` whose id is not above the cursor is known,
one whose `previous` is the cursor is next, anything else means replay.

While Redis is not full (refilling.py) nobody looks into an inbox, adds to it or reads: a cursor
would move past entries that are still to come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from streams.errors import RedisUnavailable
from streams.jobs import InboxEntry, encode
from streams.serving import Script, answering, digest
from streams.topics import INBOX

# What a person scrolls through; a cursor before it gets a gap (CONTRACT, "WebSocket").
KEEP: Final = 1000
# Entries are dropped so many at a time: the cost of looking at them is shared.
SPARE: Final = 100
# As long as the topic keeps what this is rebuilt from.
TTL: Final = INBOX.retention
# How many entries one restoring call carries: a few milliseconds of Redis.
SLICE: Final = 200
# Entries in a page, and bytes: what a socket whose client reads slowly holds.
PAGE: Final = 100
PAGE_BYTES: Final = 1 << 16


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An entry before it has an id."""

    job_id: str
    kind: str
    title: str
    body: str
    url: str
    created_at: datetime

    def numbered(self, number: int) -> InboxEntry:
        """Return the entry under that id."""
        return InboxEntry(id=number, **msgspec.structs.asdict(self))


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as it is kept, with its read state."""

    entry: InboxEntry
    read: bool


@dataclass(frozen=True, slots=True)
class State:
    """Where an inbox stands. A cursor that is not 0 and below `dropped` has a gap."""

    unread: int
    last: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Page:
    """Entries after a cursor, oldest first, and where the inbox stood at that moment.

    `before` are those up to the cursor that are unread; `more`, there are entries after these.
    """

    entries: list[Kept]
    state: State
    before: list[int]

    @property
    def more(self) -> bool:
        """Whether there are further entries."""
        return bool(self.entries) and self.entries[-1].entry.id < self.state.last


@dataclass(frozen=True, slots=True)
class Added:
    """An entry was added after the one with the id `previous` (0: it is the first).

    So many are unread with it.
    """

    previous: int
    unread: int
    entry: InboxEntry


@dataclass(frozen=True, slots=True)
class Read:
    """These entries were read, in whatever tab; so many are still unread."""

    unread: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """The inbox was restored or erased: look at it again from your cursor."""


Message = Added | Read | Changed
_draft: Final = msgspec.json.Decoder(Draft).decode


def channel(user_id: str) -> bytes:
    """Return the name of the user's pub/sub channel."""
    return b"inbox:" + digest(user_id)


def decode_message(data: bytes) -> Message:
    """Return what a message on a user's channel says."""
    what, _, rest = data.partition(b" ")
    if what == b"n":
        previous, number, unread, body = rest.split(b" ", 3)
        return Added(int(previous), int(unread), _draft(body).numbered(int(number)))
    if what == b"r":
        unread, _, ids = rest.partition(b" ")
        return Read(int(unread), tuple(map(int, ids.split(b","))))
    return Changed()


class Inbox:
    """The inboxes of all users.

    Every method raises RedisUnavailable while Redis is away; those that look, add or read also
    while it is not full.
    """

    def __init__(self, redis: Redis) -> None:
        """Use that client of the serving store."""
        self._redis = redis
        self._add = Script(redis, "sender", "inbox_add")
        self._page = Script(redis, "sender", "inbox_page")
        self._read = Script(redis, "sender", "inbox_read")
        self._restore = Script(redis, "sender", "inbox_restore")

    async def add(self, drafts: Sequence[tuple[str, Draft]]) -> list[InboxEntry]:
        """Add each draft to its user's inbox, unread, and return the entries in order.

        A job that was added before is not added again: its entry has the id it got then.
        """
        rows = ((digest(user), draft.job_id, encode(draft)) for user, draft in drafts)
        ids = _full(await self._add.over_fields((KEEP, SPARE, int(TTL.total_seconds())), rows))
        return [draft.numbered(int(number)) for (_, draft), number in zip(drafts, ids, strict=True)]

    async def page(self, user_id: str, after: int = 0, limit: int = PAGE) -> Page:
        """Return the next entries with an id above `after`, and all else that a socket needs."""
        found = _full(await self._page(digest(user_id), after + 1, limit, PAGE_BYTES))
        unread, last, dropped, before, *rows = found
        entries = [
            Kept(_draft(body).numbered(int(number)), read=not is_unread)
            for number, is_unread, body in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        ]
        state = State(int(unread), int(last), int(dropped))
        return Page(entries, state, [int(number) for number in before])

    async def read(self, user_id: str, ids: Iterable[int], *, filling: bool = False) -> Read:
        """Mark entries read and tell every tab; return what is unread and which ids changed.

        Nothing becomes unread again, and ids that are not there (yet) mean nothing. `filling` is
        for whoever fills Redis.
        """
        found = _full(await self._read(digest(user_id), int(filling), *map(int, ids)))
        unread, *changed = found
        return Read(int(unread), tuple(map(int, changed)))

    async def restore(self, user_id: str, entries: Iterable[InboxEntry]) -> int:
        """Put entries back under the ids they had, unread; return how many were missing.

        Follow it with `read` for what the topic says was read.
        """
        rows = sorted(entries, key=lambda entry: entry.id)
        head = (digest(user_id), KEEP, int(TTL.total_seconds()))
        restored = 0
        for start in range(0, len(rows), SLICE):
            part = ((row.id, row.job_id, _body(row)) for row in rows[start : start + SLICE])
            restored += int(await self._restore.over_fields(head, part))
        return restored

    async def erase(self, user_id: str) -> None:
        """Remove everything of that user."""
        user = digest(user_id)
        pipe: Any = self._redis.pipeline(transaction=True)
        pipe.delete(*(prefix + user for prefix in (b"i:", b"iu:", b"ij:", b"is:")))
        pipe.publish(channel(user_id), b"s")
        with answering():
            await pipe.execute()


def _full(found: Any) -> Any:
    if found is None:
        raise RedisUnavailable("inboxes are being put back")
    return found


def _body(entry: InboxEntry) -> bytes:
    fields = msgspec.structs.asdict(entry)
    del fields["id"]
    return encode(Draft(**fields))
