"""The parts that people play: what one in sixty does with the account, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from dev.cinema.almanac import fridays, instant
from dev.cinema.facts import Chose, Fact, Left, Moved
from dev.cinema.people import ZONES, Person
from dev.cinema.plot import A_DAY

if TYPE_CHECKING:
    from dev.cinema.lives import Lives

#: Yields what a person who joined in that step does.
Role = Callable[["Lives", Person, int], Iterator[Fact]]


def _moves(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
    zone = lives.random.choice([zone for zone in ZONES if zone != person.timezone])
    yield Moved(
        step=lives.later(joined),
        user_id=person.user_id,
        timezone=zone,
        by_profile=lives.random.random() < 0.5,
    )


def _crosses(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
    """Fly between the far ends of the day while it is Friday evening in only one of them."""
    far = "Pacific/Kiritimati" if lives.random.random() < 0.5 else "Pacific/Honolulu"
    began, ended = lives.span.start(joined + 9 * A_DAY), lives.span.end - timedelta(days=3)
    first = next(
        local for local in fridays(began, ended) if instant(local, "Pacific/Kiritimati") > began
    )
    step = lives.calm(lives.span.step_of(instant(first, "UTC")))
    yield Moved(step=step, user_id=person.user_id, timezone=far, by_profile=False)


def _prefers(**preferences: Any) -> Role:
    def choose(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
        yield Chose(step=lives.later(joined), user_id=person.user_id, preferences=preferences)

    return choose


def _clicks(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
    yield Chose(
        step=lives.later(joined),
        user_id=person.user_id,
        preferences={"unsubscribe": ["weekly_reminder"]},
        by_mail=True,
    )


def _returns(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
    step = lives.calm(joined + 9 * A_DAY)
    yield Chose(step=step, user_id=person.user_id, preferences={"unsubscribe": ["episode"]})
    back = lives.calm(step + 15 * A_DAY)
    if back < lives.span.steps:
        yield Chose(step=back, user_id=person.user_id, preferences={"resubscribe": ["episode"]})


def _pauses(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
    step = lives.later(joined)
    # Off the quarter hours, at which campaigns come due somewhere.
    until = lives.span.start(step) + timedelta(days=10, minutes=7)
    preferences = {"pause_until": until.isoformat()}
    yield Chose(step=step, user_id=person.user_id, preferences=preferences)


def _leaves(lives: Lives, person: Person, joined: int) -> Iterator[Fact]:
    yield Left(step=lives.later(joined), user_id=person.user_id)


# By the person's number modulo 60: five of each in an audience of three hundred.
ROLES: Final[dict[int, Role]] = {
    7: _moves,
    13: _moves,
    19: _moves,
    25: _crosses,
    31: _crosses,
    37: _prefers(unsubscribe=["weekly_reminder"], reason="too many"),
    38: _prefers(unsubscribe=["monthly_statistic"]),
    39: _returns,
    43: _clicks,
    44: _prefers(quiet_hours={"from": "17:00", "to": "22:00"}),
    46: _prefers(quiet_hours=None),
    49: _prefers(channels={"episode": ["websocket"]}),
    50: _pauses,
    51: _prefers(taboo=True),
    55: _leaves,
}
