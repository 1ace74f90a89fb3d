"""How long a fetch may wait at the broker while records wait here."""

from __future__ import annotations

from faust.types.tuples import TP

from streams.fetching import BESIDE_WAIT, patience

CHANGELOGS = {"cinema-streams-state-changelog"}
OURS = TP("cinema-streams-state-changelog", 3)
STUCK = TP("activity", 3)


def test_a_fetch_beside_records_of_a_stuck_partition_is_back_soon() -> None:
    assert patience(500, [STUCK], CHANGELOGS) == BESIDE_WAIT
    assert patience(500, [OURS, STUCK], CHANGELOGS) == BESIDE_WAIT


def test_nobody_hurries_for_rows_of_our_own_that_nobody_asks_for() -> None:
    assert patience(500, [OURS], CHANGELOGS) == 500


def test_a_fetch_that_is_quicker_by_itself_stays_so() -> None:
    assert patience(5, [STUCK], CHANGELOGS) == 5
    assert patience(500, [], CHANGELOGS) == 500
