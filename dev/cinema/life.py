"""One person's life, step by step: what becomes due by what is known of the person then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from dev.cinema.almanac import instant, month_before, week
from dev.cinema.dues import (
    ACTIVITY,
    EPISODE,
    LETTER,
    MONTHLY,
    TIP,
    WEEKLY,
    WELCOME,
    Due,
    Standing,
)
from dev.cinema.facts import (
    Bookmarked,
    Chose,
    Fact,
    Joined,
    Left,
    Moved,
    Noted,
    Released,
    Reminded,
    Swept,
    Watched,
    Wrote,
)
from dev.cinema.films import CATALOGUE
from dev.cinema.people import user_of
from dev.cinema.plot import out_at
from dev.cinema.saying import Saying
from dev.cinema.script import Story
from dev.cinema.statistics import Report, Statistics
from dev.cinema.timetable import Campaign, Timetable
from streams.fields import zone

SAME_LETTER: Final = timedelta(hours=24)
SERIES_OF: Final = {film.film_id: film.series_id for film in CATALOGUE if film.series_id}


class Life:
    """Lives one person's life; `reports` holds the numbers of the monthly mails."""

    def __init__(
        self, story: Story, user_id: str, address: str, timetable: Timetable, statistics: Statistics
    ) -> None:
        self.story = story
        self.span = story.span
        self.timetable = timetable
        self.statistics = statistics
        self.now = Standing(user_id, address)
        self.out = out_at()
        self.step = 0
        self.saying = Saying(story.span, self.now)
        self.said: set[tuple[str, datetime]] = set()
        self.weeks: set[str] = set()
        self.letters: dict[str, datetime] = {}
        self.reports: dict[tuple[str, str], Report] = {}

    def live(
        self, personal: Mapping[int, Sequence[Fact]], plot: Mapping[int, Sequence[Fact]]
    ) -> list[Due]:
        """Return all that is due to the person in the whole story."""
        for step in range(self.span.steps):
            self.step = self.saying.step = step
            for fact in personal.get(self.step, ()):
                self._hear(fact)
            self.saying.doubt()
            for fact in plot.get(self.step, ()):
                self._reached(fact)
            self.saying.release()
            if self.now.known and not self.now.left:
                for when, local, campaign in self.timetable.due(self.now.timezone, self.step):
                    self._fire(campaign, local, due=when, when=when)
            # What began to wait in this step may also end to.
            self.saying.release()
        return self.saying.dues

    def _hear(self, fact: Fact) -> None:
        now, start = self.now, self.span.start(self.step)
        match fact:
            case Joined():
                person = self.story.people[now.user_id]
                now.known, now.timezone, now.locale = True, person.timezone, person.locale
                now.quiet, now.channels = person.quiet, dict(person.channels or {})
                if fact.greeted:
                    self._greet()
            case Moved():
                before, now.timezone = now.timezone, fact.timezone
                self._catch_up(before)
            case Chose():
                now.choose(fact.preferences)
            case Left():
                # What waits is refused when its hour comes.
                now.left = True
            case Watched():
                now.watched.add(fact.film_id)
            case Bookmarked(added=True):
                now.bookmarked.add(fact.series_id)
            case Bookmarked():
                now.bookmarked.discard(fact.series_id)
            case Noted():
                self.saying.say(ACTIVITY, fact.occasion, start)

    def _reached(self, fact: Fact) -> None:
        now, start = self.now, self.span.start(self.step)
        known = now.known and not now.left
        match fact:
            case Released(addresses=()):
                followed = now.bookmarked | {SERIES_OF.get(film) for film in now.watched}
                if known and fact.series_id in followed:
                    self.saying.say(EPISODE, fact.occasion, start)
            case Released():
                if now.user_id in map(user_of, fact.addresses):
                    self.saying.say(EPISODE, fact.occasion, start)
            case Wrote():
                self._letter(fact, start)
            case Swept():
                if known and not now.greeted:
                    self._greet()
            case Reminded():
                if known and now.user_id in fact.users:
                    self._weekly(start, start)

    def _greet(self) -> None:
        if not self.now.greeted:
            self.now.greeted = True
            self.saying.say(WELCOME, "", self.span.start(self.step))

    def _letter(self, fact: Wrote, start: datetime) -> None:
        for address in fact.addresses:
            if user_of(address) != self.now.user_id:
                continue
            last = self.letters.get(fact.subject)
            if last is None or start - last >= SAME_LETTER:
                self.letters[fact.subject] = start
                self.saying.say(LETTER, fact.subject, start)

    def _catch_up(self, before: str) -> None:
        """Say what a move east has passed; what a move west comes to again has been said."""
        start = self.span.start(self.step)
        for campaign in self.timetable.campaigns:
            here = campaign.last(self.now.timezone, start)
            there = campaign.last(before, start)
            if here is None or (there is not None and here <= there):
                continue
            due = instant(here, self.now.timezone)
            if due > campaign.since:
                self._fire(campaign, here, due=due, when=start)

    def _fire(self, campaign: Campaign, local: datetime, *, due: datetime, when: datetime) -> None:
        if (campaign.name, local) in self.said:
            return
        if campaign.locale is not None and campaign.locale != self.now.locale:
            return
        self.said.add((campaign.name, local))
        if campaign.kind == WEEKLY:
            self._weekly(due, when)
        elif campaign.kind == MONTHLY:
            self._monthly(local, due, when)
        else:
            self.saying.say(TIP, campaign.name, when, due)

    def _weekly(self, due: datetime, when: datetime) -> None:
        this = week(due.astimezone(zone(self.now.timezone)))
        unseen = any(
            out <= self.step and film not in self.now.watched for film, out in self.out.items()
        )
        if this not in self.weeks and unseen and self.saying.say(WEEKLY, this, when, due):
            self.weeks.add(this)

    def _monthly(self, local: datetime, due: datetime, when: datetime) -> None:
        month = month_before(local)
        report = self.statistics.report(self.now.user_id, month, self.step)
        if report.this.films and self.saying.say(MONTHLY, month, when, due):
            self.reports[self.now.user_id, month] = report
