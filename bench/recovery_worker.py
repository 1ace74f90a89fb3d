"""A streams worker that recovers its tables, prints how long that took, and ends."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import mode.loop
import msgspec

from bench.agents import Options, settings, work
from streams.app import StreamsApp


class Recovering(StreamsApp):
    """The service itself; a stopwatch runs from the first rows until the last have an index."""

    def __init__(self, options: Options) -> None:
        super().__init__(settings(options))
        self._left = options.count
        self._began = self._used = 0.0
        self._take_rows = self.partition_tables.on_changelog_event
        self.partition_tables.on_changelog_event = self._timed  # type: ignore[method-assign]

    async def _timed(self, event: Any) -> None:
        if not self._began:
            self._began, self._used = time.monotonic(), time.process_time()
        await self._take_rows(event)
        self._left -= len(event.value.records)
        if self._left <= 0:
            for tables in self.partition_tables.partitions_held.values():
                tables.ready()
            seconds, used = time.monotonic() - self._began, time.process_time() - self._used
            found = {"seconds": seconds, "cpu": used}
            os.write(sys.stdout.fileno(), msgspec.json.encode(found) + b"\n")
            # A stop in good order takes seconds, and there is nothing left to lose.
            os._exit(0)


if __name__ == "__main__":
    mode.loop.use("uvloop")
    work(Recovering(msgspec.json.decode(sys.argv[1], type=Options)))
