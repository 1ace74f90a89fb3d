"""The limit: loops over aiokafka with nothing around them, each in a process of its own.

`consume` takes record by record and `produce` sends each one's value on by its key and waits for
the acknowledgements of 500, both as aiokafka's documentation has it. `poll` and `batches` are the
fastest ways there are: all that is there at once, decoded as the service does; and sent on in
record batches, undecoded and to the same partition.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final, Literal

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.faust_app import COMMIT_INTERVAL
from streams.topics import DECODERS, OUTPUT_LIMIT
from streams.transport import MAX_BATCH


class Options(msgspec.Struct, frozen=True):
    """What to read and how much of it. `outbox` is where `produce` sends."""

    loop: Literal["consume", "poll", "produce", "batches"]
    bootstrap: str
    group: str
    topic: str
    outbox: str
    count: int
    fetch_wait_ms: int


# As the service's own app asks for them.
POLL_RECORDS: Final = 1000
POLL_MS: Final = 1000
# As many as the service acknowledges together.
BATCH: Final = MAX_BATCH


class Loop:
    """One loop, from its first record to its last commit."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._consumer = AIOKafkaConsumer(
            options.topic,
            bootstrap_servers=options.bootstrap,
            group_id=options.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=options.fetch_wait_ms,
            max_poll_records=POLL_RECORDS,
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=options.bootstrap,
            acks="all",
            max_batch_size=OUTPUT_LIMIT,
            max_request_size=2 * OUTPUT_LIMIT,
        )
        self._committed = 0.0

    async def run(self) -> dict[str, float]:
        """Read `count` records and return what that took."""
        await self._consumer.start()
        await self._producer.start()
        run = {
            "consume": self._consume,
            "poll": self._poll,
            "produce": self._produce,
            "batches": self._batches,
        }
        # Joined by now: the next call is the first that can bring records.
        await self._assigned()
        started, used = time.monotonic(), time.process_time()
        done = await run[self._options.loop]()
        await self._consumer.commit()
        used, seconds = time.process_time() - used, time.monotonic() - started
        await self._producer.stop()
        await self._consumer.stop()
        return {"events": done, "seconds": seconds, "cpu": used}

    async def _assigned(self) -> None:
        # aiokafka announces no first assignment.
        while not self._consumer.assignment():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _consume(self) -> int:
        done = 0
        async for _ in self._consumer:
            done += 1
            if done >= self._options.count:
                break
            # Asking the time for each record would be a part of what is measured.
            if not done % POLL_RECORDS:
                await self._commit()
        return done

    async def _poll(self) -> int:
        decode = DECODERS[self._options.topic]
        done = 0
        while done < self._options.count:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS)
            for records in polled.values():
                for record in records:
                    decode(record.value)
                done += len(records)
            await self._commit()
        return done

    async def _produce(self) -> int:
        done, sent = 0, []
        async for record in self._consumer:
            sent.append(
                await self._producer.send(self._options.outbox, record.value, key=record.key)
            )
            done += 1
            last = done >= self._options.count
            if last or not done % BATCH:
                await asyncio.gather(*sent)
                sent.clear()
                await self._commit()
            if last:
                break
        return done

    async def _batches(self) -> int:
        done, outbox = 0, self._options.outbox
        while done < self._options.count:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS)
            sent = []
            for tp, records in polled.items():
                builder = self._producer.create_batch()
                for record in records:
                    builder.append(key=record.key, value=record.value, timestamp=None)
                builder.close()
                done += builder.record_count()
                sent.append(
                    await self._producer.send_batch(builder, outbox, partition=tp.partition)
                )
            await asyncio.gather(*sent)
            await self._commit()
        return done

    async def _commit(self) -> None:
        if time.monotonic() - self._committed > COMMIT_INTERVAL:
            await self._consumer.commit()
            self._committed = time.monotonic()


async def run(options: Options) -> dict[str, float]:
    """Run that loop in this process."""
    return await Loop(options).run()


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=Options)
    print(msgspec.json.encode(uvloop.run(run(given))).decode())
