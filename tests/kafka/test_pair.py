"""Two workers of each app on Apache Kafka: other producers, kills, routing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections import Counter
from datetime import timedelta

import pytest
from confluent_kafka import Producer

from streams.partitions import partition_of
from tests.conftest import eventually
from tests.integration.cinema import Cinema
from tests.integration.test_numbers import without_claims

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

# People of the small load: enough that kills fall between their registrations.
PEOPLE = 60


@pytest.mark.parametrize("partitioner", ["consistent_random", "murmur2"])
async def test_another_clients_partitioner_and_keyless_records_lead_to_the_right_mails(
    pair: Cinema, partitioner: str
) -> None:
    await pair.to_daytime()
    producer = Producer({"bootstrap.servers": pair.up.addresses.broker, "partitioner": partitioner})
    film = await pair.film(genres=["crc32"])
    people = [pair.name() for _ in range(16)]
    at = (pair.now.replace(day=1) - timedelta(days=1)).isoformat()
    for user in people:
        address = f"{user}@example.com"
        profile = {"user_id": user, "email": address, "username": user, "timezone": "UTC"}
        producer.produce("users", json.dumps(profile), key=user)
        greeting = {"event": "send_greeting", "user_id": user, "email": address, "username": user}
        producer.produce("registration", json.dumps(greeting))
        watch = {"user_id": user, "film_id": film, "seconds": 600, "at": at}
        producer.produce("watch_history", json.dumps(watch), key=user)
        producer.produce("watch_history", json.dumps(watch))
    assert producer.flush(30) == 0
    found = await pair.settle()
    if partitioner == "consistent_random":
        assert found.total("cinema_records", topic="users", outcome="forwarded") > 0
    for user in people:
        assert len(await pair.mails(f"{user}@example.com")) == 1
        month = await pair.statistics(user, at[:7])
        assert (month["films"], month["seconds"], month["top_genre"]) == (1, 1200, "crc32")


async def test_any_worker_answers_for_any_person(pair: Cinema) -> None:
    people = [await pair.person() for _ in range(8)]
    film = await pair.film()
    for user in people:
        await pair.watch(user, film, pair.now)
    await pair.settle()
    assert len({partition_of(user, pair.partitions) for user in people}) > 1
    month = f"{pair.now:%Y-%m}"
    for worker in pair.up.addresses.streams:
        for user in people:
            found = await pair.get(f"/users/{user}/statistics?month={month}", worker)
            assert found["films"] == 1


async def test_the_older_services_curl_command_works_unchanged(pair: Cinema) -> None:
    await pair.to_daytime()
    if not pair.streams.endswith(":8082"):
        pytest.skip("port 8082 was taken")
    user, film = await pair.person(), await pair.film()
    await pair.watch(user, film, pair.now.replace(day=1) - timedelta(days=1))
    await pair.settle()
    command = [
        *("curl", "--silent", "--location", "--request", "POST"),
        "localhost:8082/topics/monthly_statistic",
        *("--header", "Content-Type: application/vnd.kafka.json.v2+json"),
        *("--data-raw", '{"records": [{"value": {"event": "send_statistic"}}]}'),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=20)
    assert json.loads(done.stdout)["offsets"][0]["error_code"] is None
    await pair.settle()
    assert len(await pair.mails(f"{user}@example.com")) == 1


async def test_each_worker_killed_in_turn_under_load_loses_nothing(pair: Cinema) -> None:
    film = await pair.film(genres=["kill"])
    people = [pair.name("kill") for _ in range(PEOPLE * 4)]
    month = f"{pair.now:%Y-%m}"
    sent = asyncio.Event()

    async def load() -> None:
        for user in people:
            value = {"event": "send_greeting", "user_id": user, "email": f"{user}@example.com"}
            await pair.send("registration", value | {"username": user}, user)
            await pair.watch(user, film, pair.now, seconds=60)
            await pair.watch(user, film, pair.now, seconds=30)
            await asyncio.sleep(0.1)
        sent.set()

    loading = asyncio.create_task(load())
    for app in ("streams", "sender"):
        for number in range(2):
            await asyncio.sleep(1)
            old = pair.up.pids[app][number]
            os.kill(old, signal.SIGKILL)

            async def replaced(app: str = app, number: int = number, old: int = old) -> bool:
                return bool(pair.up.pids[app][number] != old)

            await eventually(replaced, 5)
            await eventually(pair.ready, 60, 0.2)
    await asyncio.wait_for(loading, 120)
    assert sent.is_set()
    # What a killed sender had claimed rests until the clock has passed the claim's end.
    await without_claims(pair)
    addresses = {f"{user}@example.com" for user in people}
    mails = Counter(pair_ for pair_ in await pair.message_ids() if pair_[0] in addresses)
    got = Counter(address for address, _ in mails)
    assert set(got) == addresses, f"{len(addresses - set(got))} people without a mail"
    # One Message-ID each: what came twice was in flight at a kill, and is the same mail.
    assert set(got.values()) == {1}
    twice = sum(1 for number in mails.values() if number > 1)
    print(f"\n{len(people)} registrations, 4 kills: {twice} mails came twice")
    assert max(mails.values()) <= 2 and twice <= 100
    for user in people:
        found = await pair.statistics(user, month)
        assert (found["films"], found["seconds"]) == (1, 90), user


async def test_the_numbers_add_up_after_all_that(pair: Cinema) -> None:
    wrong = await pair.wrong_numbers()
    assert not wrong, "\n".join(wrong)
