"""What the people do: arrive, confirm, watch, bookmark, move, choose, leave; from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

from dev.cinema.almanac import STEP, Span
from dev.cinema.facts import (
    Bookmarked,
    Confirmed,
    Fact,
    Joined,
    Left,
    Noted,
    Watched,
)
from dev.cinema.films import CATALOGUE, SERIES, Film
from dev.cinema.people import PROFILE_ONLY, Person
from dev.cinema.plot import A_DAY, out_at
from dev.cinema.roles import ROLES

# Records of a step carry times in its first ten minutes; people watch after that, so that who lived
# where when somebody watched is beyond doubt.
RECORDS: Final = timedelta(minutes=10)
ARRIVALS: Final = 4 * A_DAY
LAST_ARRIVAL: Final = 40 * A_DAY
# Watching is spread over the day and uneven: some see a film a day, a few see none at all.
FILMS_A_STEP: Final = (0.0, 0.04, 0.08, 0.12, 0.2)
# Watches every film there is: the weekly reminder has nothing for this person.
FANATIC: Final = 58
# One in so many watches is told to the service only days later.
LATE: Final = 25


class Lives:
    """Draws the facts of all people; `busy` steps change nobody."""

    def __init__(self, span: Span, seed: int, busy: frozenset[int]) -> None:
        self.span = span
        self.random = Random(f"lives {seed}")
        self.busy = busy
        self.out = out_at()

    def of_all(self, people: tuple[Person, ...]) -> Iterator[Fact]:
        """Yield the facts of everyone, person by person."""
        for number, person in enumerate(people):
            yield from self.of(number, person)

    def of(self, number: int, person: Person) -> Iterator[Fact]:
        """Yield one person's facts; `number` gives the part the person plays."""
        joined = self._arrival(number)
        yield Joined(step=joined, user_id=person.user_id, greeted=person.shape != PROFILE_ONLY)
        if person.shape != PROFILE_ONLY and self.random.random() < 0.6:
            confirmed = joined + 1 + self.random.randrange(8)
            yield Confirmed(step=confirmed, user_id=person.user_id)
        role = ROLES.get(number % 60)
        left = self.span.steps
        changes = list(role(self, person, joined)) if role else []
        yield from changes
        for change in changes:
            if isinstance(change, Left):
                left = change.step
        yield from self._bookmarks(person, joined, left)
        yield from self._watches(number, person, joined, left)
        if not changes and self.random.random() < 0.2:
            step = self.calm(self.random.randrange(joined + 2, self.span.steps - 4))
            body = f"{person.username}: someone has answered your review, no. {number + 1}"
            # Some reviews are much talked about.
            times = 2 + number % 5 if number % 3 == 0 else 1
            yield Noted(step=step, user_id=person.user_id, body=body, times=times)

    def calm(self, step: int) -> int:
        """Return the first step from that one on in which the editors do nothing."""
        while step in self.busy:
            step += 1
        return step

    def moment(self, step: int) -> datetime:
        """Return a time at which someone watches in that step."""
        room = (STEP - RECORDS) // timedelta(seconds=1)
        return self.span.start(step) + RECORDS + timedelta(seconds=self.random.randrange(room))

    def later(self, step: int) -> int:
        """Return a calm step some days after that one."""
        return self.calm(self.random.randrange(step + 9 * A_DAY, self.span.steps - 4))

    def _arrival(self, number: int) -> int:
        if number % 6 or number == 0:
            return self.calm(self.random.randrange(ARRIVALS))
        return self.calm(self.random.randrange(ARRIVALS, LAST_ARRIVAL))

    def _bookmarks(self, person: Person, joined: int, left: int) -> Iterator[Fact]:
        for series in SERIES:
            if self.random.random() > 0.25:
                continue
            step = self.calm(self.random.randrange(joined, min(joined + 6 * A_DAY, left - 1)))
            yield Bookmarked(
                step=step, user_id=person.user_id, series_id=series.series_id, added=True
            )
            removed = self.calm(step + 20 * A_DAY)
            if removed < left and self.random.random() < 0.2:
                yield Bookmarked(
                    step=removed, user_id=person.user_id, series_id=series.series_id, added=False
                )

    def _watches(self, number: int, person: Person, joined: int, left: int) -> Iterator[Watched]:
        if number == FANATIC:
            yield from self._everything(person, joined)
            return
        rate = self.random.choice(FILMS_A_STEP)
        taste = self.random.choice(CATALOGUE).genres
        follows = self.random.random() < 0.25
        for step in range(joined + 1, left):
            if self.random.random() >= rate:
                continue
            films = [
                film
                for film in CATALOGUE
                if (
                    film.series_id is None
                    or (follows and step not in self.busy and self.out[film.film_id] < step)
                )
            ]
            weights = [film.rating * (5 if set(taste) & set(film.genres) else 1) for film in films]
            (film,) = self.random.choices(films, weights)
            yield self._watch(person, film, step, left)

    def _watch(self, person: Person, film: Film, step: int, left: int) -> Watched:
        told = step
        if film.series_id is None and self.random.randrange(LATE) == 0:
            told = min(step + self.random.randrange(2, 4 * A_DAY), left - 1)
        return Watched(
            step=told,
            user_id=person.user_id,
            film_id=film.film_id,
            seconds=self.random.randrange(600, 7200),
            at=self.moment(step),
        )

    def _everything(self, person: Person, joined: int) -> Iterator[Watched]:
        for film in CATALOGUE:
            step = self.calm(max(self.out[film.film_id] + 1, joined + 1))
            if step < self.span.steps:
                yield Watched(
                    step=step,
                    user_id=person.user_id,
                    film_id=film.film_id,
                    seconds=self.random.randrange(3600, 7200),
                    at=self.moment(step),
                )
