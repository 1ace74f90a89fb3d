"""What something waits for at the moment, for /metrics and whoever reads the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


class Waits:
    """The reasons for which batches wait now."""

    def __init__(self, name: str) -> None:
        """Log under that name."""
        self._name = name
        self._reasons: list[str] = []

    @property
    def reason(self) -> str | None:
        """The oldest of the reasons, None while nothing waits."""
        return self._reasons[0] if self._reasons else None

    @contextmanager
    def on(self, reason: str) -> Iterator[None]:
        """Wait for that; the first to wait says so in the log."""
        if not self._reasons:
            logger.warning("%s waits: %s", self._name, reason)
        self._reasons.append(reason)
        try:
            yield
        finally:
            self._reasons.remove(reason)
