"""The streams app with one partition whose changelog is acknowledged late: `faust -A` takes it.

While the file `stuck` lies in its data folder, partition 0 waits two seconds at every flush. What
was processed, and when, is written to `done`.
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from streams.app import StreamsApp, create_app
from streams.following import Following
from streams.outgoing import Outgoing
from streams.settings import Settings
from streams.transport import Batch

STUCK: Final = 0
STUCK_SECONDS: Final = 2.0


def slow_down(folder: Path) -> None:
    """Put the delay into `Outgoing`, and the clerk into `Following`."""
    send_whole, done = Outgoing.send_whole, Following.done
    clerk = (folder / "done").open("w", buffering=1)

    async def stuck(self: Outgoing, topic: str, partition: int, *args: Any, **options: Any) -> int:
        if partition == STUCK and (folder / "stuck").exists():
            await asyncio.sleep(STUCK_SECONDS)
        return await send_whole(self, topic, partition, *args, **options)

    def told(
        self: Following, batch: Batch, processed: int | None = None, durable: int | None = None
    ) -> None:
        done(self, batch, processed, durable)
        if processed is not None:
            topic, partition = batch.tp
            first = batch.records[0].offset
            clerk.write(f"{topic} {partition} {first} {processed} {time.time()}\n")

    Outgoing.send_whole = stuck  # type: ignore[method-assign]
    Following.done = told  # type: ignore[method-assign]


def __getattr__(name: str) -> Any:
    """Give Faust its app."""
    if name != "app":
        raise AttributeError(name)
    return app_of(Settings.from_env())


@cache
def app_of(settings: Settings) -> StreamsApp:
    """Make the app once: Faust asks for it twice."""
    slow_down(settings.data_dir)
    return create_app(settings)
