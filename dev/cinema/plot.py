"""What the editors do, and when: episodes, letters, triggers, a campaign.

In the steps of these nothing else happens to the people they reach: records of one step have no
order between topics, and the book must know one outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final

from dev.cinema.almanac import STEP, Span, firsts, fridays
from dev.cinema.facts import Announced, Fact, Released, Reminded, Swept, Wrote
from dev.cinema.films import CATALOGUE, SERIES
from dev.cinema.people import BY_ADDRESS, PROFILE_ONLY, Person

A_DAY: Final = timedelta(days=1) // STEP
# (day, step of the day) of the first release of each serial; then one a week.
PREMIERES: Final = ((5, 1), (8, 3))
SWEEP_ON: Final = 41 * A_DAY + 2
REMINDER_DAY: Final = 33
CAMPAIGN_ON: Final = 30 * A_DAY
CAMPAIGN_WEEKDAY: Final = 2

# They get letters and a trailer, and have no account.
OUTSIDERS: Final = tuple(f"critic.{number}@press.example" for number in range(1, 7))
LETTERS: Final = (
    (3, "Programme of the autumn season"),
    (19, "The projector is being repaired"),
    (26, "Live piano at Nosferatu"),
    (47, "Lost and found: a grey umbrella"),
)


def editors(span: Span, people: tuple[Person, ...]) -> Iterator[Fact]:
    """Yield all that the editors do."""
    for series, (day, part) in zip(SERIES, PREMIERES, strict=True):
        for week, episode in enumerate(range(series.early + 1, len(series.titles) + 1)):
            yield Released(
                step=(day + 7 * week) * A_DAY + part,
                series_id=series.series_id,
                episode=episode,
            )
    known = tuple(person.email for person in people if person.shape in BY_ADDRESS)[:4]
    trailer = OUTSIDERS[:4] + known
    yield Released(step=12 * A_DAY, series_id=SERIES[0].series_id, episode=0, addresses=trailer)
    for number, (day, subject) in enumerate(LETTERS):
        readers = tuple(person.email for person in people[number * 10 : number * 10 + 5])
        first = Wrote(step=day * A_DAY, subject=subject, addresses=OUTSIDERS[:3] + readers)
        yield first
        if number % 2 == 0:
            # Six hours later it is the same letter and skipped; two days later it goes again.
            yield Wrote(step=first.step + 1, subject=subject, addresses=first.addresses)
            yield Wrote(step=first.step + 8, subject=subject, addresses=first.addresses[1:])
    yield Swept(step=SWEEP_ON)
    named = tuple(person.user_id for person in people if person.shape != PROFILE_ONLY)[20:40]
    yield Reminded(step=_wednesday(span, REMINDER_DAY) + 1, users=named)
    noon = datetime.combine((span.start(CAMPAIGN_ON) + timedelta(days=3)).date(), time(12))
    yield Announced(step=CAMPAIGN_ON, campaign_id="classics", local_at=noon, locale="ru")


def _wednesday(span: Span, day: int) -> int:
    step = day * A_DAY
    while span.start(step).weekday() != CAMPAIGN_WEEKDAY:
        step += 1
    return step


def out_at() -> dict[str, int]:
    """Return the step in which each film comes to the catalogue; episodes one before the news."""
    out = {film.film_id: 0 for film in CATALOGUE}
    for series, (day, part) in zip(SERIES, PREMIERES, strict=True):
        for week, film in enumerate(series.episodes[series.early :]):
            out[film.film_id] = (day + 7 * week) * A_DAY + part - 1
    return out


def busy(plot: tuple[Fact, ...], span: Span) -> frozenset[int]:
    """Return the steps in which the editors reach people by what is known of them.

    And those at whose very beginning a campaign is due where nothing is known of a person's zone:
    who comes at that instant may be in its audience or not.
    """
    reaching = (Released, Swept, Reminded, Announced, Wrote)
    hours = {
        local.replace(tzinfo=UTC) for of in (fridays, firsts) for local in of(span.begin, span.end)
    }
    return frozenset(fact.step for fact in plot if isinstance(fact, reaching)) | {
        step for step in range(span.steps) if span.start(step) in hours
    }
