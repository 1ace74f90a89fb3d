"""Which series a person has on the list."""

from __future__ import annotations

import msgspec

from streams.topics import RETENTION
from tables.view import View


class BookmarkRow(msgspec.Struct, frozen=True):
    """Series on the list, by id, with the time (epoch seconds) of the last change.

    A record that was forwarded may come after a younger one: the time tells. So what was taken off
    is kept, as long as the topic keeps what might come.
    """

    series: dict[str, tuple[bool, float]]


class Bookmarks(View[BookmarkRow]):
    """Lists by user."""

    name = "bookmarks"
    row = BookmarkRow

    def change(self, user_id: str, series_id: str, added: bool, at: float) -> bool:
        """Put a series on the list or take it off; False if a younger change is known."""
        row = self.get(user_id)
        series = row.series if row else {}
        if series_id in series and series[series_id][1] > at:
            return False
        horizon = at - RETENTION.total_seconds()
        kept = {one: entry for one, entry in series.items() if entry[0] or entry[1] >= horizon}
        self[user_id] = BookmarkRow({**kept, series_id: (added, at)})
        return True

    def has(self, user_id: str, series_id: str) -> bool:
        """Tell whether the series is on the user's list."""
        row = self.get(user_id)
        return row is not None and row.series.get(series_id, (False, 0.0))[0]
