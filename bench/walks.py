"""A campaign for 100,000 people, and what goes on beside it while it is walked.

One streams worker with all partitions, and no sender: offsets of the bulk lane are committed in its
stead as they come, so the walk never waits for it and leaves the worker no moment's rest. Beside
it people register, and two campaigns for a thousand begin. Then the same again with a kill -9.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from time import perf_counter
from typing import Final

from bench import servers
from bench.cinema import PEOPLE, Cinema, until
from bench.figures import Figure, figure, of_rounds, percentile
from bench.processes import cpu_seconds
from streams import topics
from streams.settings import PREFIX

USERS: Final = 100_000
SMALL: Final = 1_000
EVENTS: Final = 20_000
# As many as a cinema has; one more for the campaign of a zone.
ZONES: Final = (
    *(f"Etc/GMT{hours:+d}" for hours in range(-14, 13) if hours),
    *("Europe/Berlin", "Europe/Moscow", "Europe/London", "Europe/Madrid", "Europe/Kyiv"),
    *("Asia/Tokyo", "Asia/Kolkata", "Asia/Almaty", "America/New_York", "America/Lima"),
    *("America/Sao_Paulo", "Australia/Sydney", "Africa/Lagos", "Pacific/Auckland"),
)
APART: Final = "Pacific/Apia"
WALKED: Final = f"a campaign of {USERS:,} is walked"
# Some forty registrations a second, at any moment of the worker's.
PAUSE: Final = 0.05
IDLE: Final = 200
# The small campaigns begin when the large one has so many jobs.
BEGUN: Final = USERS // 10
KILLED: Final = USERS // 3
SEED: Final = 20261128


def run() -> Iterator[Figure]:
    """Measure on Apache Kafka where it can be had, else on the embedded broker."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    kind = (await servers.brokers("walks"))[0]
    settings = {f"{PREFIX}DELIVERY_WINDOW": "00:00-00:00"}
    async with (
        servers.stack(kind, sender=0, clock="topic", settings=settings) as stack,
        Cinema(stack) as cinema,
    ):
        await _people(cinema)
        idle = [await cinema.register(f"idle-{number}") for number in range(IDLE)]
        event = await _event(cinema)
        return [
            *await _walk(cinema, kind, idle, event),
            *await _killed(cinema, kind),
        ]


async def _people(cinema: Cinema) -> None:
    """Bring in the films and the people, and wait until the worker knows them."""
    films = [{"film_id": f"f{n}", "title": f"Film {n}", "rating": n} for n in range(10)]
    await cinema.send(topics.FILMS, films, "film_id")
    await cinema.tick()
    people = [
        {
            "user_id": _name(number),
            "email": f"user-{number}@example.com",
            "username": "Ann",
            "timezone": APART if number < SMALL else ZONES[number % len(ZONES)],
            # One job a person, and no mail.
            "channels": {"tip": ["websocket"]},
        }
        for number in range(USERS)
    ]
    await cinema.send(topics.USERS, people, "user_id")
    await cinema.settled()


async def _event(cinema: Cinema) -> float:
    """Return the CPU seconds of an ordinary event with a job."""
    used = cpu_seconds(cinema.worker)
    body = "Bob has answered your review of Metropolis"
    events = [{"user_id": _name(number), "body": body} for number in range(EVENTS)]
    await cinema.send(topics.ACTIVITY, events, "user_id")
    await cinema.settled()
    return (cpu_seconds(cinema.worker) - used) / EVENTS


async def _walk(cinema: Cinema, kind: str, idle: list[float], event: float) -> list[Figure]:
    listed = [_name(number) for number in range(0, USERS, USERS // SMALL)]
    await cinema.announce("large")
    await cinema.announce("listed", {"users": listed}, seconds=2)
    await cinema.announce("zone", {"timezones": [APART]}, seconds=2)
    await cinema.settled()
    used, started = cpu_seconds(cinema.worker), perf_counter()
    await cinema.tick()
    registering = asyncio.create_task(_registrations(cinema))
    await until(lambda: len(cinema.jobs["large"]) > BEGUN, "the large campaign's beginning")
    began = perf_counter()
    await cinema.tick()
    await until(lambda: len(cinema.jobs["large"]) == USERS, "the large campaign's end")
    for name in ("listed", "zone"):
        await until(lambda name=name: len(cinema.jobs[name]) == SMALL, f"{name}'s end")  # type: ignore[misc]
    used = cpu_seconds(cinema.worker) - used
    taken = await registering
    large = cinema.last["large"] - started
    # What the registrations took of it is theirs.
    firing = (used - len(taken) * event) / (USERS + 2 * SMALL)
    beside = f"{SMALL:,} people while {WALKED} on {kind}"
    return [
        *(
            of_rounds(
                f"registration while {WALKED} on {kind}, {name} of {len(taken)}",
                "ms",
                [1000 * percentile(taken, percent)],
                [1000 * percentile(idle, percent)],
                "the same at rest",
            )
            for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
        ),
        figure(f"walk of {USERS:,} people on {kind}", "s", large),
        *(
            of_rounds(
                f"campaign for {what} of {beside}",
                "s",
                [cinema.last[name] - began],
                [large],
                f"walk of {USERS:,} people",
            )
            for name, what in (("listed", "a list"), ("zone", "a zone"))
        ),
        of_rounds(
            f"firing, CPU a due person on {kind}",
            "us",
            [1e6 * firing],
            [1e6 * event],
            "an activity",
        ),
    ]


async def _killed(cinema: Cinema, kind: str) -> list[Figure]:
    """Walk as many again, and kill the worker when a third has its job."""
    await cinema.announce("killed")
    await cinema.settled()
    started = perf_counter()
    await cinema.tick()
    await until(lambda: len(cinema.jobs["killed"]) > KILLED, "a third of the walk")
    os.kill(cinema.worker, signal.SIGKILL)
    await until(lambda: len(cinema.jobs["killed"]) == USERS, "the end of the walk that was killed")
    again = sum(cinema.jobs["killed"].values()) - USERS
    label = f"walk of {USERS:,} people, killed once on {kind}"
    return [
        figure(label, "s", cinema.last["killed"] - started),
        figure(f"{label}: jobs that came again under their id", "1", again),
    ]


async def _registrations(cinema: Cinema) -> list[float]:
    """Let people register until the large campaign ends; return what each took."""
    dice, tasks = random.Random(SEED), list[asyncio.Task[float]]()
    while len(cinema.jobs["large"]) < USERS:
        tasks.append(asyncio.create_task(cinema.register(f"new-{len(tasks)}")))
        await asyncio.sleep(dice.uniform(0, PAUSE))
    return list(await asyncio.gather(*tasks))


def _name(number: int) -> str:
    return f"{PEOPLE}{number}"
