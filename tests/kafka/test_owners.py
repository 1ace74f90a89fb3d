"""Who may write a partition's tables, and that they are whole: on Kafka, with real workers."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from dev.logs import end_offsets, read_topic
from streams.app import StreamsApp
from streams.outgoing import EXIT_UNACKNOWLEDGED
from streams.ownership import epoch_of, header
from streams.partitions import partition_of
from streams.settings import Settings
from streams.transport import SESSION
from tests.kafka.probe import in_process
from tests.kafka.streaming import PARTITIONS, Worker, person, running, send

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

CHANGELOG = "cinema-streams-state-changelog"
OUTPUTS = ("outbox", "outbox_urgent", "held", "deliveries", "dead_letters", CHANGELOG)


def watch(user: str, seconds: int) -> dict[str, Any]:
    return {"user_id": user, "film_id": "f", "seconds": seconds, "at": "2026-11-10T12:00:00Z"}


def neighbour(user: str) -> str:
    """Return someone else of that person's partition."""
    while partition_of(other := person(), PARTITIONS) != partition_of(user, PARTITIONS):
        pass
    return other


async def rows(broker: str, key: str) -> list[ConsumerRecord]:
    """Return what the changelog holds for a key, oldest first."""
    return [one for one in await read_topic(broker, CHANGELOG) if one.key == key.encode()]


async def write_late(
    producer: AIOKafkaProducer, user: str, key: str, value: Any, epoch: int
) -> None:
    """Write a row as an owner of that epoch would that was paused."""
    await producer.send_and_wait(
        CHANGELOG,
        msgspec.json.encode(value),
        key.encode(),
        partition=partition_of(user, PARTITIONS),
        headers=header(epoch),
    )


async def test_a_process_stopped_for_longer_than_its_session_ends_before_it_writes_anything(
    worker: Worker,
) -> None:
    async with running(worker) as producer:
        loading = asyncio.create_task(load(producer))
        try:
            await asyncio.sleep(2)
            assert worker.process is not None
            worker.process.send_signal(signal.SIGSTOP)
            stopped = time.time()
            await asyncio.sleep(SESSION + 1)
            before = await end_offsets(worker.broker, *OUTPUTS)
            worker.process.send_signal(signal.SIGCONT)
            status = await asyncio.wait_for(worker.process.wait(), 10)
            late = [
                record
                for topic in OUTPUTS
                for record in await read_topic(
                    worker.broker, topic, {tp: at for tp, at in before.items() if tp.topic == topic}
                )
            ]
        finally:
            loading.cancel()
    assert status == EXIT_UNACKNOWLEDGED
    # What the event loop had in hand for the socket when it was stopped may still go out, with
    # an epoch that counts for nobody once there is a successor.
    assert [record for record in late if record.timestamp / 1000 > stopped] == []
    assert sum(before.values()) > 0


async def load(producer: AIOKafkaProducer) -> None:
    """Send watches without end."""
    while True:
        user = person()
        await send(producer, "watch_history", user, watch(user, 1))


async def test_recovery_keeps_the_newer_owners_row_where_an_older_one_follows_and_writes_it_again(
    worker: Worker,
) -> None:
    ann = person()
    bob = neighbour(ann)
    key = f"watch_history:{ann}|2026-11"
    async with running(worker) as producer:
        await send(producer, "watch_history", ann, watch(ann, 5))
        await worker.at_rest("watch_history")
        (ours,) = await rows(worker.broker, key)
        await worker.kill()
        late = {"watches": [["f", 1.0, 99.0]]}
        await write_late(producer, ann, key, late, epoch_of(ours) - 1)
        await worker.start()
        await worker.until_ready()
        assert (await worker.month(ann))["seconds"] == 5
        await send(producer, "watch_history", bob, watch(bob, 7))
        found = await worker.at_rest("watch_history")
        assert found.total("cinema_undercut") == 1
        last = (await rows(worker.broker, key))[-1]
        assert last.value == ours.value
        assert epoch_of(last) > epoch_of(ours)


async def test_what_a_paused_owner_writes_while_another_works_is_written_over_at_once(
    worker: Worker,
) -> None:
    ann = person()
    bob = neighbour(ann)
    key = f"watch_history:{ann}|2026-11"
    async with running(worker) as producer:
        await send(producer, "watch_history", ann, watch(ann, 5))
        await worker.at_rest("watch_history")
        (ours,) = await rows(worker.broker, key)
        late = {"watches": [["f", 1.0, 99.0]]}
        await write_late(producer, ann, key, late, epoch_of(ours) - 1)
        await send(producer, "watch_history", bob, watch(bob, 7))
        await worker.at_rest("watch_history")
        last = (await rows(worker.broker, key))[-1]
        assert (last.value, epoch_of(last)) == (ours.value, epoch_of(ours))
        assert (await worker.month(ann))["seconds"] == 5


async def test_someone_who_was_erased_does_not_come_back_with_a_paused_owners_write(
    worker: Worker,
) -> None:
    ann = person()
    bob = neighbour(ann)
    keys = [f"users:{ann}", f"watch_history:{ann}|2026-11"]
    async with running(worker) as producer:
        profile = {"user_id": ann, "email": f"{ann}@example.com", "username": "Ann"}
        await send(producer, "users", ann, profile)
        await send(producer, "watch_history", ann, watch(ann, 5))
        await worker.at_rest("users", "watch_history")
        known = [(await rows(worker.broker, key))[-1] for key in keys]
        await producer.send_and_wait(
            "users", None, ann.encode(), partition=partition_of(ann, PARTITIONS)
        )
        await worker.at_rest("users", "watch_history")
        await worker.kill()
        for key, row in zip(keys, known, strict=True):
            value = msgspec.json.decode(row.value)
            await write_late(producer, ann, key, value, epoch_of(row) - 1)
        await worker.start()
        await worker.until_ready()
        assert (await worker.month(ann))["seconds"] == 0
        await send(producer, "watch_history", bob, watch(bob, 7))
        await worker.at_rest("users", "watch_history")
        assert [(await rows(worker.broker, key))[-1].value for key in keys] == [None, None]


async def test_what_many_topics_say_of_one_person_at_once_is_all_in_the_persons_row(
    worker: Worker,
) -> None:
    people = [person() for _ in range(200)]
    async with running(worker) as producer:
        said = []
        for user in people:
            address = f"{user}@example.com"
            profile = {"user_id": user, "email": address, "username": "A", "locale": "en"}
            greeting = {"event": "send_greeting", "user_id": user, "email": address}
            said += [
                send(producer, "users", user, profile),
                send(producer, "registration", user, greeting | {"username": "A"}),
                send(producer, "preferences", user, {"user_id": user, "locale": "ru"}),
                send(producer, "preferences", user, {"user_id": user, "unsubscribe": ["tip"]}),
            ]
        await asyncio.gather(*said)
        await worker.at_rest("users", "registration", "preferences")
        await worker.kill()
        found = {one.key: one.value for one in await read_topic(worker.broker, CHANGELOG)}
    for user in people:
        row = msgspec.json.decode(found[f"users:{user}".encode()])
        assert row["profile"]["email"] == f"{user}@example.com"
        assert row["profile"]["registered"] and row["greeted"]
        assert row["choices"]["locale"] == "ru"
        assert row["choices"]["unsubscribed"] == ["tip"]


class Forgetful(StreamsApp):
    """Loses the first batch of rows of each partition between its consumer and its tables."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.lost: set[int] = set()
        load = self.partition_tables.on_changelog_event

        async def forget(event: Any) -> None:
            batch = event.value
            if batch.tp.partition in self.lost:
                await load(event)
            else:
                self.lost.add(batch.tp.partition)

        self.partition_tables.on_changelog_event = forget  # type: ignore[method-assign]


async def test_rows_that_are_lost_in_a_recovery_are_read_again_before_it_is_complete(
    worker: Worker, tmp_path: Path
) -> None:
    people = [person() for _ in range(3000)]
    async with running(worker) as producer:
        await asyncio.gather(
            *(send(producer, "watch_history", user, watch(user, 3)) for user in people)
        )
        await worker.at_rest("watch_history")
    settings = Settings(
        broker=f"kafka://{worker.broker}",
        redis=worker.redis,
        partitions=PARTITIONS,
        clock="topic",
        streams_port=worker.port,
        data_dir=tmp_path,
        link_secret="l" * 32,
        jwt_secret="j" * 32,
        api_keys=("k" * 32,),
    )
    app = Forgetful(settings)

    def ready() -> bool:
        return app.recovered() and len(app.partition_tables.partitions_held) == PARTITIONS

    async with in_process(app, ready):
        assert app.lost == set(range(PARTITIONS))
        missing = [
            user
            for user in people
            if app.partition_tables.tables(partition_of(user, PARTITIONS)).row(
                f"watch_history:{user}|2026-11".encode()
            )
            is None
        ]
        assert missing == []
        assert app.batch_consumer.refetched >= PARTITIONS
