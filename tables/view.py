"""A table as decisions see it: its rows, and over them the changes of the batch in hand.

Changes are merged into the rows only after Kafka has acknowledged them, so that memory never runs
ahead of the log. A decision that raises is undone alone; its neighbours keep their changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, Generic, TypeVar, cast

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

# What Kafka's record batch v2, the owner's epoch and the table's name add to a row at most.
ROW: Final = 80

encode: Final = msgspec.json.Encoder().encode


class _Missing(msgspec.Struct):
    """Stands in the undo log for a key that the batch had not changed before."""


MISSING: Final = _Missing()


class View(Generic[R]):
    """One table of one partition: key to row."""

    name: ClassVar[str]
    row: ClassVar[type[msgspec.Struct]]

    def __init__(self) -> None:
        self.rows: dict[str, R] = {}
        self.changes: dict[str, R | None] = {}
        # What each key was before the decision in hand.
        self._undo: dict[str, R | _Missing | None] = {}
        self._written: dict[str, bytes | None] = {}
        # The decision in hand's changes in the form in which they will be written.
        self._encoded: dict[str, bytes | None] = {}
        self._weight = 0
        #: Bytes that the batch's changes will take in the changelog.
        self.size = 0
        self._decode = msgspec.json.Decoder(self.row).decode

    # -- what decisions use

    def get(self, key: str) -> R | None:
        """Return the row as this decision sees it, None where there is none."""
        if key in self.changes:
            return self.changes[key]
        return self.rows.get(key)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __setitem__(self, key: str, row: R) -> None:
        if key not in self._undo:
            self._undo[key] = self.changes.get(key, MISSING)
        self.changes[key] = row

    def __delitem__(self, key: str) -> None:
        if key not in self._undo:
            self._undo[key] = self.changes.get(key, MISSING)
        self.changes[key] = None

    # -- what the boundary uses

    @property
    def changing(self) -> bool:
        """Tell whether the decision in hand has changed this table."""
        return bool(self._undo)

    def weigh(self) -> int:
        """Return how many bytes the decision in hand adds to the batch's changes as written."""
        size = 0
        for key in self._undo:
            row = self.changes[key]
            self._encoded[key] = value = None if row is None else self.encode(row)
            size += self._takes(key, value)
            if key in self._written:
                size -= self._takes(key, self._written[key])
        self._weight = size
        return size

    def keep(self) -> None:
        """Keep what the decision has changed, in the form in which it was weighed."""
        if self._encoded.keys() != self._undo.keys():
            self.weigh()
        self.size += self._weight
        self._written.update(self._encoded)
        self._decided()

    def undo(self) -> None:
        """Take back what the decision has changed."""
        for key, before in self._undo.items():
            if isinstance(before, _Missing):
                del self.changes[key]
            else:
                self.changes[key] = before
        self._decided()

    def changelog(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield what is to be written: key and JSON, None for a deleted row."""
        for key, value in self._written.items():
            if value is not None or key in self.rows:
                yield key, value

    def merge(self) -> None:
        """Make the batch's changes the table's, now that Kafka has them."""
        for key, row in self.changes.items():
            old = self.rows.get(key)
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
            self.index(key, old, row)
        self.changes.clear()
        self._written.clear()
        self.size = 0

    def _decided(self) -> None:
        self._undo.clear()
        self._encoded.clear()
        self._weight = 0

    def _takes(self, key: str, value: bytes | None) -> int:
        """Return how many bytes a row takes as written: a deletion takes some, too."""
        if value is None and key not in self.rows:
            return 0
        length = len(key) if key.isascii() else len(key.encode())
        return length + len(value or b"") + ROW

    # -- recovery and indexes

    def load(self, key: str, value: bytes | None) -> None:
        """Take a row from the changelog."""
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = self.decode(key, value)

    def encode(self, row: R) -> bytes:
        """Return a row as it is written; a table whose memory is more compact overrides it."""
        return encode(row)

    def decode(self, key: str, value: bytes) -> R:
        """Return a row from what was written."""
        return cast(R, self._decode(value))

    def index(self, key: str, old: R | None, new: R | None) -> None:
        """Keep the indexes in step with one change; tables that have indexes override it."""

    def rebuild(self) -> None:
        """Build the indexes from all rows, after recovery."""
        for key, row in self.rows.items():
            self.index(key, None, row)
