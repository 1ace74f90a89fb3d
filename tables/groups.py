"""Windows in which activity that is alike is gathered, to be told as one."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from streams.jobs import Cause
from streams.topics import VALUE_LIMIT
from tables.resting import Resting
from tables.view import encode

# How many bodies a notification shows; of the others it tells the number.
SHOWN: Final = 3


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One open window of one person and group.

    `due` is its end, in epoch seconds of the clock. `cause` and `identity` are those of the event
    that opened it. `count` events have come, the first of which said `bodies`.
    """

    user_id: str
    due: float
    cause: Cause
    identity: str
    count: int
    bodies: list[str]

    def joined(self, body: str) -> GroupRow:
        """Return the row with one more event.

        Its body is kept if it is one of the first and fits into one record's value with those
        before it: three of a MiB each would be no record any more.
        """
        bodies = self.bodies
        if len(bodies) < SHOWN and len(encode([*bodies, body])) <= VALUE_LIMIT:
            bodies = [*bodies, body]
        return msgspec.structs.replace(self, count=self.count + 1, bodies=bodies)


class Groups(Resting[GroupRow]):
    """Open windows by person and group."""

    name = "groups"
    row = GroupRow

    @staticmethod
    def key(user_id: str, group: str) -> str:
        """Return the key of that person's window of that group.

        A group's name is any text of a producer; its hash is short and says nothing.
        """
        return f"{user_id}\x1f{blake2b(group.encode(), digest_size=16).hexdigest()}"

    def until(self, row: GroupRow) -> float:
        return row.due

    def owner(self, row: GroupRow) -> str:
        return row.user_id
