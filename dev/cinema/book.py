"""The simulator's own book: person by person, which mails and inbox entries are due, and when.

An oracle beside the service: it goes through one person's whole life at a time, where the service
goes through everybody's records as they come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from dev.cinema.almanac import Span, firsts, fridays, instant
from dev.cinema.dues import MONTHLY, TIP, WEEKLY, Due
from dev.cinema.facts import Announced, Confirmed, Fact, Left, Released, Wrote
from dev.cinema.life import Campaign, Life
from dev.cinema.people import user_of
from dev.cinema.script import Story
from dev.cinema.statistics import Month, Statistics


class Book:
    """All that is due, of everyone who has an account or an address."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.statistics = Statistics(story)
        personal, plot = _sorted_out(story)
        timetable = Timetable(story)
        self.dues: list[Due] = []
        #: The numbers of each monthly mail as they were known when it was written.
        self.reports: dict[tuple[str, str], Month] = {}
        for user_id, address in _everyone(story).items():
            life = Life(story, user_id, address, timetable, self.statistics)
            self.dues.extend(life.live(personal[user_id], plot))
            self.reports.update(life.reports)
        self.confirmed = {fact.user_id for fact in story.facts if isinstance(fact, Confirmed)}
        self.left = {fact.user_id for fact in story.facts if isinstance(fact, Left)}


class Timetable:
    """When campaigns come due in a zone, by step."""

    def __init__(self, story: Story) -> None:
        span = story.span
        self.span: Span = span
        self.campaigns: Sequence[Campaign] = [
            Campaign(WEEKLY, WEEKLY, tuple(fridays(span.begin, span.end))),
            Campaign(MONTHLY, MONTHLY, tuple(firsts(span.begin, span.end))),
            *(_announced(fact, span) for fact in story.facts if isinstance(fact, Announced)),
        ]
        self._by_zone: dict[str, dict[int, list[tuple[datetime, datetime, Campaign]]]] = {}

    def due(self, zone: str, step: int) -> list[tuple[datetime, datetime, Campaign]]:
        """Return (instant, local time, campaign) of all that the step's ticks reach, in order."""
        if zone not in self._by_zone:
            steps = defaultdict(list)
            for campaign in self.campaigns:
                for local in campaign.locals:
                    when = instant(local, zone)
                    if when > campaign.since(self.span):
                        steps[self.span.step_of(when)].append((when, local, campaign))
            for found in steps.values():
                found.sort(key=lambda item: item[0])
            self._by_zone[zone] = dict(steps)
        return self._by_zone[zone].get(step, [])


def _announced(fact: Announced, span: Span) -> Campaign:
    return Campaign(fact.campaign_id, TIP, (fact.local_at,), fact.locale, span.start(fact.step))


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
