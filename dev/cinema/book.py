"""The simulator's own book: person by person, which mails and inbox entries are due, and when.

An oracle beside the service: it goes through one person's whole life at a time, where the service
goes through everybody's records as they come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from dev.cinema.dues import Due
from dev.cinema.facts import Confirmed, Fact, Joined, Left, Released, Wrote
from dev.cinema.life import Life
from dev.cinema.people import user_of
from dev.cinema.script import Story
from dev.cinema.statistics import Report, Statistics
from dev.cinema.timetable import Timetable


class Book:
    """All that is due, of everyone who has an account or an address."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.statistics = Statistics(story)
        personal, plot = _sorted_out(story)
        timetable = Timetable(story)
        self.dues: list[Due] = []
        #: The numbers of each monthly mail as they were known when it was written.
        self.reports: dict[tuple[str, str], Report] = {}
        self.addresses = _everyone(story)
        for user_id, address in self.addresses.items():
            life = Life(story, user_id, address, timetable, self.statistics)
            self.dues.extend(life.live(personal[user_id], plot))
            self.reports.update(life.reports)
        self.confirmed = {fact.user_id for fact in story.facts if isinstance(fact, Confirmed)}
        self.joined = {f.user_id: f.step for f in story.facts if isinstance(f, Joined)}
        self.left = {fact.user_id for fact in story.facts if isinstance(fact, Left)}


PLOT: Final = "plot"


def _sorted_out(
    story: Story,
) -> tuple[dict[str, dict[int, list[Fact]]], dict[int, list[Fact]]]:
    personal: dict[str, dict[int, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for fact in story.facts:
        personal[getattr(fact, "user_id", PLOT)][fact.step].append(fact)
    return personal, personal.pop(PLOT, {})


def _everyone(story: Story) -> dict[str, str]:
    """Return the address of everyone; people known by address only come by their derived id."""
    found = {person.user_id: person.email for person in story.people.values()}
    for address in _addressed(story):
        found.setdefault(user_of(address), address)
    return found


def _addressed(story: Story) -> Iterator[str]:
    for fact in story.facts:
        if isinstance(fact, Released | Wrote):
            yield from fact.addresses
