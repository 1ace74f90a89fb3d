"""The limit: loops over aiokafka with nothing around them, each in a process of its own.

`consume` polls and commits; `produce` also sends each record's value on to another topic and waits
until all of a poll are acknowledged.
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


class Options(msgspec.Struct, frozen=True):
    """What to read and how much of it. `outbox` is where `produce` sends."""

    loop: Literal["consume", "produce"]
    bootstrap: str
    group: str
    topic: str
    outbox: str
    count: int
    fetch_wait_ms: int


# As the service's own app asks for them.
POLL_RECORDS: Final = 1000
POLL_MS: Final = 1000


async def run(options: Options) -> dict[str, float]:
    """Read `count` records and return what that took."""
    consumer = AIOKafkaConsumer(
        options.topic,
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=options.fetch_wait_ms,
    )
    producer = AIOKafkaProducer(bootstrap_servers=options.bootstrap, acks="all")
    await consumer.start()
    await producer.start()
    done, committed = 0, time.monotonic()
    started = used = 0.0
    while done < options.count:
        if not done:
            # The call that brings the first records is the first to count.
            started, used = time.monotonic(), time.process_time()
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
        sent = []
        for records in polled.values():
            if options.loop == "produce":
                for record in records:
                    sent.append(
                        await producer.send(
                            options.outbox, record.value, record.key, record.partition
                        )
                    )
            done += len(records)
        await asyncio.gather(*sent)
        if time.monotonic() - committed > COMMIT_INTERVAL:
            await consumer.commit()
            committed = time.monotonic()
    await consumer.commit()
    used, seconds = time.process_time() - used, time.monotonic() - started
    await producer.stop()
    await consumer.stop()
    return {"events": done, "seconds": seconds, "cpu": used}


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=Options)
    print(msgspec.json.encode(uvloop.run(run(given))).decode())
