"""The script of the two months: what is sent to the service, step by step, as pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from dev.cinema.accidents import Accidents, Expected
from dev.cinema.almanac import Span, span
from dev.cinema.facts import Fact, Left
from dev.cinema.films import CATALOGUE
from dev.cinema.lives import Lives
from dev.cinema.people import AUDIENCE, Person, audience
from dev.cinema.plot import busy, editors, out_at
from dev.cinema.records import Record, Scribe, Visit

SEED: Final = 1895


@dataclass(slots=True)
class Step:
    """Six hours: what is sent at their beginning, and the links that are opened then."""

    number: int
    records: list[Record] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Story:
    """The whole story: its time, its people, what happens, and how the service is told."""

    span: Span
    people: dict[str, Person]
    facts: tuple[Fact, ...]
    steps: tuple[Step, ...]
    expected: Expected


def write(end: datetime, *, seed: int = SEED, partitions: int = 8, count: int = AUDIENCE) -> Story:
    """Write the story that ends now: equal for equal seeds and ends."""
    time = span(end)
    people = audience(seed, count)
    plot = tuple(editors(time, people))
    lives = Lives(time, seed, busy(plot, time))
    facts = sorted((*plot, *lives.of_all(people)), key=lambda fact: fact.step)
    by_id = {person.user_id: person for person in people}
    steps = tuple(Step(number) for number in range(time.steps))
    scribe = Scribe(time, by_id, seed)
    last = {fact.user_id: fact.step for fact in facts if isinstance(fact, Left)}
    accidents = Accidents(seed, partitions, time.steps, last)
    out = out_at()
    for film in CATALOGUE:
        step = out[film.film_id]
        at = time.start(step)
        value = msgspec.json.encode(film.value(at.date() if step else None))
        steps[step].records.append(Record("films", film.film_id, value, at))
    for fact in facts:
        for what in scribe.write(fact):
            if isinstance(what, Visit):
                steps[fact.step].visits.append(what)
                continue
            for step, record in accidents.happen(fact.step, what):
                steps[step].records.append(record)
    for step, topic, key, spoiled in accidents.useless():
        partition = step % partitions if key is None else None
        steps[step].records.append(Record(topic, key, spoiled, time.start(step), partition))
    return Story(time, by_id, tuple(facts), steps, accidents.expected)
