"""One decision among many like it: what raises is said of that one alone, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from streams.breaker import TopicBreaker
from streams.decisions import Decision
from streams.work import Work, checked
from tables.partition import Tables

logger = logging.getLogger(__name__)


def attempt(
    decide: Callable[[], Iterable[Decision]],
    instead: Callable[[str], Decision],
    what: str,
    topic: str,
    tables: Tables,
    work: Work,
    breaker: TopicBreaker,
) -> list[Decision]:
    """Decide, and take what follows into `work`; return the decisions.

    What raises is undone and logged as `what`, counts against `topic`, and `instead` decides in its
    place: it gets the reason and may change the tables, too.
    """
    try:
        decisions = list(decide())
        outputs = checked(decisions, work.partition)
        tables.keep()
        breaker.decided(topic)
    except Exception as error:
        tables.undo()
        logger.exception("%s raised", what)
        breaker.raised(topic, error)
        decisions = [instead(f"error: {type(error).__name__}")]
        outputs = checked(decisions, work.partition)
        tables.keep()
    work.emit(outputs)
    return decisions
