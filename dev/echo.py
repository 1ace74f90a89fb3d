"""Errors in the children's logs, shown on stderr as they come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dev.children import Child
from dev.supervisor import say

ERROR: Final = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b")
# A new log record, of Faust or Kafka: what does not look like one belongs to the record before.
RECORD: Final = re.compile(r"\[\d{4}-")
# What moves the cursor of a terminal that is not there.
ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# A traceback fits; one error must not fill the screen.
MAX_LINES: Final = 40
PAUSE: Final = 0.5


class Echo:
    """Follows logs from where they are now."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._logs = {child.log: child.name for child in children}
        self._read = {log: log.stat().st_size if log.exists() else 0 for log in self._logs}
        self._left = dict.fromkeys(self._logs, 0)

    async def run(self) -> None:
        """Show errors until cancelled."""
        while True:
            for log, name in self._logs.items():
                self._show(log, name)
            await asyncio.sleep(PAUSE)

    def _show(self, log: Path, name: str) -> None:
        if not log.exists() or log.stat().st_size <= self._read[log]:
            return
        with log.open("rb") as file:
            file.seek(self._read[log])
            data = file.read()
        # Only whole lines: the rest is still being written.
        whole = data[: data.rfind(b"\n") + 1]
        self._read[log] += len(whole)
        for line in ESCAPES.sub("", whole.decode(errors="replace")).splitlines():
            if ERROR.search(line):
                self._left[log] = MAX_LINES
            elif RECORD.match(line):
                self._left[log] = 0
            if self._left[log]:
                self._left[log] -= 1
                say(f"{name}: {line}")
