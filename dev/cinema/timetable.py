"""The campaigns of the story, and when each comes due in a zone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from dev.cinema.almanac import Span, firsts, fridays, instant
from dev.cinema.dues import MONTHLY, TIP, WEEKLY
from dev.cinema.facts import Announced
from dev.cinema.script import Story


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is said at local times: `locals` are its occurrences, `locale` its audience.

    What was due before `since` is not said.
    """

    name: str
    kind: str
    locals: tuple[datetime, ...]
    since: datetime
    locale: str | None = None

    def last(self, zone: str, until: datetime) -> datetime | None:
        """Return the last of its local times that has passed in a zone."""
        passed = (local for local in self.locals if instant(local, zone) <= until)
        return max(passed, default=None)


class Timetable:
    """When campaigns come due in a zone, by step."""

    def __init__(self, story: Story) -> None:
        span = story.span
        self._span: Span = span
        self.campaigns = (
            Campaign(WEEKLY, WEEKLY, tuple(fridays(span.begin, span.end)), span.begin),
            Campaign(MONTHLY, MONTHLY, tuple(firsts(span.begin, span.end)), span.begin),
            *(
                Campaign(
                    fact.campaign_id, TIP, (fact.local_at,), span.start(fact.step), fact.locale
                )
                for fact in story.facts
                if isinstance(fact, Announced)
            ),
        )
        self._by_zone: dict[str, dict[int, list[tuple[datetime, datetime, Campaign]]]] = {}

    def due(self, zone: str, step: int) -> list[tuple[datetime, datetime, Campaign]]:
        """Return (instant, local time, campaign) of all that the step's ticks reach, in order."""
        if zone not in self._by_zone:
            steps = defaultdict(list)
            for campaign in self.campaigns:
                for local in campaign.locals:
                    when = instant(local, zone)
                    if when > campaign.since:
                        steps[self._span.step_of(when)].append((when, local, campaign))
            for found in steps.values():
                found.sort(key=lambda item: item[0])
            self._by_zone[zone] = dict(steps)
        return self._by_zone[zone].get(step, [])
