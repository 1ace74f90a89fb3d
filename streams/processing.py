"""One task a partition number (or topic and partition) that takes batches in turn, to the end.

This is the boundary between Kafka and what is decided. A Faust agent hands its batch over and goes
on; the task asks which records are new, has them processed with every acknowledgement awaited, and
only then lets the offset go. While one task waits for Kafka, another decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, NamedTuple

import faust
from aiokafka import ConsumerRecord

from streams.errors import Moved
from streams.outgoing import give_up
from streams.tasks import end
from streams.transport import Batch, Consumer

logger = logging.getLogger(__name__)


class Done(NamedTuple):
    """Where a partition stands: the next offset to process, and what may be committed if less."""

    next: int
    durable: int | None = None


#: Processes records that are new. Returns when all that follows is acknowledged, with the offset
#: after the last record, or an earlier one if it was interrupted.
Process = Callable[[Batch, Sequence[ConsumerRecord]], Awaitable[Done]]
#: Does one step of other work of that task; True if there is more to do at once.
Step = Callable[[Hashable], Awaitable[bool]]

STEP: Final = None


class Processing:
    """The tasks of an app. `key` says which one a batch belongs to; `step` is work in between."""

    def __init__(
        self,
        app: faust.App,
        key: Callable[[Batch], Hashable],
        process: Process,
        step: Step | None = None,
        fatal: Callable[[str], None] = give_up,
    ) -> None:
        self._app = app
        self._key = key
        self._process = process
        self._step = step
        self._fatal = fatal
        self._queues: dict[Hashable, asyncio.Queue[Batch | None]] = {}
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        # Tasks that have other work, in turn, and the one that may do a step of it.
        self._line: dict[Hashable, None] = {}
        self._stepping: Hashable | None = None

    @property
    def _consumer(self) -> Consumer:
        consumer = self._app.consumer
        assert isinstance(consumer, Consumer)
        return consumer

    def accept(self, batch: Batch) -> None:
        """Take a batch from a Faust agent; its task comes to it in turn."""
        self._queue(self._key(batch)).put_nowait(batch)

    def wake(self, key: Hashable) -> None:
        """Have a task look for other work, though no batch has come."""
        self._queue(key)
        self._wants(key)
        self._call()

    async def stop(self) -> None:
        """End the tasks; what is in flight is done again by whoever owns it next."""
        await end(*self._tasks.values())

    def _queue(self, key: Hashable) -> asyncio.Queue[Batch | None]:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = asyncio.Queue()
            task = asyncio.get_running_loop().create_task(self._run(key, queue))
            task.add_done_callback(self._ended)
            self._tasks[key] = task
        return queue

    async def _run(self, key: Hashable, queue: asyncio.Queue[Batch | None]) -> None:
        while True:
            batch = await queue.get()
            consumer = self._consumer
            with consumer.busy():
                if batch is not STEP:
                    await self._take(consumer, batch)
                    more = self._step is not None
                else:
                    more = await self._advance(consumer, key)
                    self._stepping = None
            if more:
                self._wants(key)
            self._call()

    def _wants(self, key: Hashable) -> None:
        if key != self._stepping:
            self._line[key] = None

    def _call(self) -> None:
        """Let the next in line do a step.

        One at a time: of eight partitions with a campaign each would have a slice before anything
        that comes from outside could go on by as much as one turn of the event loop.
        """
        if self._stepping is None and self._line:
            self._stepping = key = next(iter(self._line))
            del self._line[key]
            # At the back of its queue: batches that wait come first.
            self._queues[key].put_nowait(STEP)

    async def _take(self, consumer: Consumer, batch: Batch) -> None:
        records = await consumer.fresh(batch)
        if not records:
            consumer.done(batch)
            return
        try:
            consumer.done(batch, *await self._process(batch, records))
        except Moved as error:
            logger.warning("%s", error)
            consumer.done(batch)

    async def _advance(self, consumer: Consumer, key: Hashable) -> bool:
        if self._step is None or not consumer.flow_active or self._app.should_stop:
            return False
        try:
            return await self._step(key)
        except Moved as error:
            logger.warning("%s", error)
            return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A task that raised would leave its partitions standing still without a word.
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("a partition's task ended", exc_info=error)
            self._fatal(f"a partition's task raised {type(error).__name__}")
