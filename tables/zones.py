"""In which time zone a person was, when: exact in whatever order the records came.

Three sources speak of a person's zone: what the person chose wins for as long as it is set, then
the profile, then what was said at registration. The history keeps what each source said and when;
what follows from it is computed on reading, so a record that comes late falls into its place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

REGISTRATION: Final = 0
PROFILE: Final = 1
CHOICE: Final = 2

# Repetitions are kept, since what comes late may fall between them: up to this many entries, more
# than most people have in two years, all of them ...
ENTRIES: Final = 16
# ... and beyond, where a cinema sends all its profiles again every night, those of so long.
LATE: Final = 7 * 86_400.0

NEVER: Final = float("-inf")

#: (epoch seconds, source, zone or None for "none said")
Entry = tuple[float, int, str | None]

_place: Final = itemgetter(0, 1)


def add(
    history: Sequence[Entry], at: float, source: int, zone: str | None, since: float = NEVER
) -> list[Entry]:
    """Return the history with one more entry, in order of time, as far as it tells of `since`.

    Of two from one source at one time the one that came last holds.
    """
    entries = list(history)
    index = bisect_left(entries, (at, source), key=_place)
    if index < len(entries) and _place(entries[index]) == (at, source):
        entries[index] = (at, source, zone)
    else:
        entries.insert(index, (at, source, zone))
    if entries[0][0] < since:
        entries = _pruned(entries, since)
    return _thinned(entries) if len(entries) > ENTRIES else entries


def _pruned(entries: list[Entry], since: float) -> list[Entry]:
    """Return the entries without those that say nothing of any time from `since` on.

    Before it the last of each source is left. Where none of these says a zone, the last that did
    is left, too: the person was somewhere, and what comes later does not hold backwards.
    """
    first = bisect_left(entries, since, key=itemgetter(0))
    before, after = entries[:first], entries[first:]
    left = set({entry[1]: entry for entry in before}.values())
    if not any(zone for _, _, zone in left):
        left.update([entry for entry in before if entry[2]][-1:])
    return sorted(left, key=_place) + after


def _thinned(entries: list[Entry]) -> list[Entry]:
    """Return the entries without old repetitions."""
    horizon = entries[-1][0] - LATE
    last: dict[int, str | None] = {}
    kept = []
    for entry in entries:
        at, source, zone = entry
        if at >= horizon or source not in last or last[source] != zone:
            kept.append(entry)
        last[source] = zone
    return kept


def spans(history: Sequence[Entry], default: str) -> Iterator[tuple[float, str]]:
    """Yield (from, zone) in order of time; the first zone holds for all time before, too."""
    said: dict[int, str | None] = {}
    before = None
    for at, entries in groupby(history, key=itemgetter(0)):
        said.update((source, zone) for _, source, zone in entries)
        now = said.get(CHOICE) or said.get(PROFILE) or said.get(REGISTRATION)
        if now is None and before is not None:
            now = default
        if now is not None and now != before:
            yield (NEVER if before is None else at), now
            before = now
    if before is None:
        yield NEVER, default


def zone_at(history: Sequence[Entry], at: float, default: str) -> str:
    """Return the zone the person was in at that time."""
    if not history:
        return default
    if len(history) == 1:
        return history[0][2] or default
    found = list(spans(history, default))
    return found[bisect_right(found, at, key=itemgetter(0)) - 1][1]


def zone_now(history: Sequence[Entry], default: str) -> str:
    """Return the zone the person is in after all that is known."""
    return zone_at(history, float("inf"), default)
