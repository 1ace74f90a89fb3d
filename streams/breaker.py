"""When to stop a topic: a decision that raises again and again is a fault of ours, not of the data.

One bad record is a dead letter and its neighbours do not notice. A hundred in a row are a bug or a
broken deployment; going on would empty the topic into `dead_letters`. So the topic stands still on
this worker, which says so and is not ready, until it is started again with the fault mended. What
was dead-lettered until then can be replayed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

logger = logging.getLogger(__name__)


class TopicBreaker:
    """Counts unexpected exceptions in a row, by topic; at `limit` the topic is `open`."""

    def __init__(self, limit: int, stop: Callable[[str], None] = lambda topic: None) -> None:
        """Call `stop` once with the name of each topic that is to be fetched no more."""
        self._limit = limit
        self._stop = stop
        self._raised: Counter[str] = Counter()
        #: By topic why nothing more of it is decided; empty while all is well.
        self.open: dict[str, str] = {}

    def decided(self, topic: str) -> None:
        """Note a decision that went through: what raised before it was the record's own."""
        if self._raised:
            del self._raised[topic]

    def raised(self, topic: str, error: Exception) -> None:
        """Note a decision that raised what nobody expects."""
        self._raised[topic] += 1
        if topic in self.open or self._raised[topic] < self._limit:
            return
        self.open[topic] = (
            f"topic {topic} stands still: {self._limit} decisions in a row raised, the last "
            f"{type(error).__name__}; mend it, start the worker again and replay the dead letters"
        )
        logger.critical("%s", self.open[topic])
        self._stop(topic)
