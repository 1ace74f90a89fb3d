"""A thread that ends the process when it was stopped for longer than Kafka lets it be away.

SIGSTOP, a laptop's lid or a frozen virtual machine: by the time such a process goes on, its
partitions are another's. It must not write; so the pulse is asked right before anything is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from streams.transport import SESSION

BEAT: Final = 0.25
# Half a session: whoever was away for less still owns what it owned.
LATE: Final = SESSION / 2


class Heartbeat:
    """Beats four times a second; `late` tells for how long it has not, if that is too long."""

    def __init__(
        self, fatal: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._fatal = fatal
        self._now = now
        self._last = now()
        self._stopped = threading.Event()
        self._stopped.set()

    def start(self) -> None:
        """Begin to beat."""
        self._last = self._now()
        self._stopped.clear()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Stop beating; nothing is late from then on, as before the start."""
        self._stopped.set()

    def check(self) -> None:
        """End the process if it has been stopped for too long; to be called before each send."""
        away = self._now() - self._last
        if away > LATE and not self._stopped.is_set():
            self._fatal(f"this process was stopped for {away:.1f} s and may own nothing any more")

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT):
            self.check()
            self._last = self._now()
