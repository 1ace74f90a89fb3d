"""One person's life, step by step: what becomes due by what is known of the person then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from dev.cinema.almanac import PUNCTUAL, STEP, Span, instant, month_before, week
from dev.cinema.dues import (
    ACTIVITY,
    EMAIL,
    EPISODE,
    EXPIRES,
    LETTER,
    MONTHLY,
    TIP,
    WAITS,
    WEEKLY,
    WELCOME,
    Due,
    Held,
    Standing,
)
from dev.cinema.facts import (
    Bookmarked,
    Chose,
    Fact,
    Hours,
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
from dev.cinema.script import Story
from dev.cinema.statistics import Month, Statistics

SAME_LETTER: Final = timedelta(hours=24)
SERIES_OF: Final = {film.film_id: film.series_id for film in CATALOGUE if film.series_id}


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is said at a local time; `locals` are its occurrences, `locale` its audience."""

    name: str
    kind: str
    locals: tuple[datetime, ...]
    locale: str | None = None
    announced: datetime | None = None

    def since(self, span: Span) -> datetime:
        """Return when it was announced: what was due before is not said."""
        return self.announced or span.begin


class Schedule(Protocol):
    """When campaigns come due in a zone."""

    campaigns: Sequence[Campaign]

    def due(self, zone: str, step: int) -> list[tuple[datetime, datetime, Campaign]]:
        """Return (instant, local time, campaign) of all that the step's ticks reach."""


class Life:
    """Lives one person's life; `reports` holds the numbers of the monthly mails."""

    def __init__(
        self, story: Story, user_id: str, address: str, schedule: Schedule, statistics: Statistics
    ) -> None:
        self.story = story
        self.span = story.span
        self.schedule = schedule
        self.statistics = statistics
        self.now = Standing(user_id, address)
        self.out = out_at()
        self.step = 0
        self.dues: list[Due] = []
        self.held: list[Held] = []
        #: What was let go in the step before: it may as well have happened in this one.
        self.just_released: list[Due] = []
        self.said: set[tuple[str, datetime]] = set()
        self.weeks: set[str] = set()
        self.letters: dict[str, datetime] = {}
        self.reports: dict[tuple[str, str], Month] = {}

    def live(
        self, personal: Mapping[int, Sequence[Fact]], plot: Mapping[int, Sequence[Fact]]
    ) -> list[Due]:
        """Return all that is due to the person in the whole story."""
        for step in range(self.span.steps):
            self.step = step
            for fact in personal.get(self.step, ()):
                self._hear(fact)
            self._doubt()
            for fact in plot.get(self.step, ()):
                self._reached(fact)
            self._release()
            if self.now.known and not self.now.left:
                for when, local, campaign in self.schedule.due(self.now.timezone, self.step):
                    self._fire(campaign, local, due=when, when=when)
            # What began to wait in this step may also end to.
            self._release()
        return self.dues

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
                self._choose(fact.preferences)
            case Left():
                now.left = True
                self.held.clear()
            case Watched():
                now.watched.add(fact.film_id)
            case Bookmarked(added=True):
                now.bookmarked.add(fact.series_id)
            case Bookmarked():
                now.bookmarked.discard(fact.series_id)
            case Noted():
                self._say(ACTIVITY, fact.body, start)

    def _choose(self, preferences: Mapping[str, Any]) -> None:
        now = self.now
        now.unsubscribed |= set(preferences.get("unsubscribe", ()))
        now.unsubscribed -= set(preferences.get("resubscribe", ()))
        now.channels |= preferences.get("channels", {})
        now.taboo = preferences.get("taboo", now.taboo)
        if "pause_until" in preferences:
            now.pause_until = datetime.fromisoformat(preferences["pause_until"])
        if "quiet_hours" in preferences:
            hours = preferences["quiet_hours"]
            now.quiet = hours and Hours(
                time.fromisoformat(hours["from"]), time.fromisoformat(hours["to"])
            )

    def _reached(self, fact: Fact) -> None:
        now, start = self.now, self.span.start(self.step)
        known = now.known and not now.left
        match fact:
            case Released(addresses=()):
                followed = now.bookmarked | {SERIES_OF.get(film) for film in now.watched}
                if known and fact.series_id in followed:
                    self._say(EPISODE, fact.occasion, start)
            case Released():
                if now.user_id in map(user_of, fact.addresses):
                    self._say(EPISODE, fact.occasion, start)
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
            self._say(WELCOME, "", self.span.start(self.step))

    def _letter(self, fact: Wrote, start: datetime) -> None:
        for address in fact.addresses:
            if user_of(address) != self.now.user_id:
                continue
            last = self.letters.get(fact.subject)
            if last is None or start - last >= SAME_LETTER:
                self.letters[fact.subject] = start
                self._say(LETTER, fact.subject, start)

    def _catch_up(self, before: str) -> None:
        """Say what a move east has passed; what a move west comes to again has been said."""
        start = self.span.start(self.step)
        for campaign in self.schedule.campaigns:
            here = _last(campaign, self.now.timezone, start)
            there = _last(campaign, before, start)
            if here is None or (there is not None and here <= there):
                continue
            due = instant(here, self.now.timezone)
            if due > campaign.since(self.span):
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
            self._say(TIP, campaign.name, when, due=due)

    def _weekly(self, due: datetime, when: datetime) -> None:
        this = week(due.astimezone(ZoneInfo(self.now.timezone)))
        unseen = any(
            out <= self.step and film not in self.now.watched for film, out in self.out.items()
        )
        if this not in self.weeks and unseen and self._say(WEEKLY, this, when, due=due):
            self.weeks.add(this)

    def _monthly(self, local: datetime, due: datetime, when: datetime) -> None:
        month = month_before(local)
        numbers = self.statistics.of(self.now.user_id, month, self.step)
        if numbers.films and self._say(MONTHLY, month, when, due=due):
            self.reports[self.now.user_id, month] = numbers

    def _say(
        self, kind: str, occasion: str, when: datetime, *, due: datetime | None = None
    ) -> bool:
        """Enter what is due over each channel; tell whether there is anything."""
        now = self.now
        expires = (due or when) + EXPIRES[kind] if kind in EXPIRES else None
        if now.refuses(kind, when) or (expires is not None and expires <= when):
            return False
        channels = now.over(kind)
        for channel in channels:
            opening = now.opens(when) if kind in WAITS and channel == EMAIL else when
            if opening > when:
                assert expires is not None
                self.held.append(Held(kind, occasion, opening, expires))
                continue
            # It may be said some ticks later, when the window has closed.
            then = when + PUNCTUAL
            late = channel == EMAIL and kind in WAITS and now.opens(then) > then
            last = self._latest(when) if late else self.step
            self._enter(kind, occasion, channel, self.step, last)
        return bool(channels)

    def _release(self) -> None:
        """Decide again what has waited for its hour and comes to it in this step."""
        waiting, self.held = self.held, []
        for held in waiting:
            if self.span.step_of(held.opening) > self.step:
                self.held.append(held)
            elif self.now.opens(held.opening) > held.opening:
                self.held.append(replace(held, opening=self.now.opens(held.opening)))
            elif not self.now.refuses(held.kind, held.opening) and held.opening < held.expires:
                last = self._latest(held.opening)
                due = self._enter(held.kind, held.occasion, EMAIL, self.step, last)
                self.just_released.append(due)

    def _doubt(self) -> None:
        """Where a person refuses now what was let go in the last step, either order is right."""
        for due in self.just_released:
            if self.now.refuses(due.kind, self.span.start(self.step)):
                self.dues[self.dues.index(due)] = replace(due, sure=False)
        self.just_released.clear()

    def _latest(self, opening: datetime) -> int:
        """Return the last step for what is let go at that time: by a later tick if it is missed."""
        return self.span.step_of(self.now.opens(opening + STEP)) + 1

    def _enter(self, kind: str, occasion: str, channel: str, first: int, last: int) -> Due:
        now = self.now
        sure = last < self.span.steps
        due = Due(now.user_id, now.address, kind, occasion, channel, first, last, sure)
        self.dues.append(due)
        return due


def _last(campaign: Campaign, zone: str, until: datetime) -> datetime | None:
    """Return the campaign's last local time that has passed in a zone."""
    passed = (local for local in campaign.locals if instant(local, zone) <= until)
    return max(passed, default=None)
