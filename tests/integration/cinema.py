"""A running stack as a test sees it: records in, and all that comes out of it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import uuid4

import aiohttp
import jwt
import msgspec
from aiokafka import AIOKafkaProducer

from dev.cinema.tail import Entry, Tail
from streams.kinds import KINDS
from streams.partitions import partition_of
from streams.topics import INPUTS, TOPICS
from tests.conftest import Up

# A Monday in the middle of the morning, so that mails go at once in every zone the tests use.
START: Final = datetime(2027, 1, 4, 10, 0, tzinfo=UTC)
SETTLE_LIMIT: Final = 60.0
POLL: Final = 0.03
MIB: Final = 1 << 20
OUTCOMES: Final = ("applied", "decided", "duplicate", "forwarded", "dead")
STATUSES: Final = ("sent", "skipped", "deferred", "retrying", "failed")
LINE: Final = re.compile(r"^(cinema_\w+?)(?:\{(.*?)\})? (\S+)$", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Gauges:
    """One reading of some workers' numbers."""

    def __init__(self, *pages: str) -> None:
        self._samples: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for page in pages:
            for name, labels, value in LINE.findall(page):
                self._samples[name].append((dict(LABEL.findall(labels)), float(value)))

    def __add__(self, other: Gauges) -> Gauges:
        both = Gauges()
        for one in (self, other):
            for name, samples in one._samples.items():
                both._samples[name] += samples
        return both

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a gauge over the samples that carry those labels."""
        return sum(value for found, value in self._samples[name] if labels.items() <= found.items())

    def values(self, name: str, label: str) -> set[str]:
        """Return what a label of a gauge says, in all its samples."""
        return {found[label] for found, _ in self._samples[name]}


class Sent(NamedTuple):
    """Where a record has landed."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Mail:
    """A mail as the mailbox shows it."""

    subject: str
    text: str
    html: str
    raw: str
    message_id: str


class Log:
    """Every record of every topic, as it was heard."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.letters: dict[Sent, dict[str, Any]] = {}
        self.jobs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.deliveries: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.inbox: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.erased: set[str] = set()

    def hear(self, entry: Entry) -> None:
        """Take in one record."""
        self.counts[entry.topic] += 1
        if entry.value is None or entry.topic not in TOPICS or TOPICS[entry.topic] in INPUTS:
            return
        value: dict[str, Any] = msgspec.json.decode(entry.value)
        match entry.topic:
            case "dead_letters":
                place = Sent(value["topic"], value["partition"], value["offset"])
                self.letters[place] = value
            case "outbox" | "outbox_urgent" | "held":
                if value["kind"] == "erase":
                    self.erased.add(value["user_id"])
                else:
                    self.jobs[value["user_id"]].append({**value, "topic": entry.topic})
            case "deliveries":
                self.deliveries[value["user_id"]].append(value)
            case "inbox":
                self.inbox[(entry.key or b"").decode()].append(value)

    def statuses(self) -> dict[str, tuple[str, str]]:
        """Return kind and latest status by job id; what is final stays."""
        found: dict[str, tuple[str, str]] = {}
        for delivery in (one for many in self.deliveries.values() for one in many):
            before = found.get(delivery["job_id"])
            if before is None or before[1] not in ("sent", "skipped", "failed"):
                found[delivery["job_id"]] = delivery["kind"], delivery["status"]
        return found


class Cinema:
    """Sends records to a stack, moves its time, and shows what has become of them."""

    def __init__(self, up: Up, partitions: int = 8) -> None:
        self.up = up
        self.partitions = partitions
        self.now = START
        self.log = Log()
        self._tail = Tail(up.addresses.broker, TOPICS, self.log.hear)
        self._names = 0

    async def open(self) -> None:
        """Connect, and say what time it is."""
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.up.addresses.broker, acks="all", max_request_size=4 << 20
        )
        await self._tail.start()
        await self._producer.start()
        await self.tick(self.now)

    async def close(self) -> None:
        """Disconnect."""
        await self._producer.stop()
        await self._tail.stop()
        await self.http.close()

    @property
    def streams(self) -> str:
        """The first streams worker."""
        return self.up.addresses.streams[0]

    @property
    def sender(self) -> str:
        """The first sender worker."""
        return self.up.addresses.sender[0]

    def name(self, prefix: str = "user") -> str:
        """Return an id that no other test uses."""
        self._names += 1
        return f"{prefix}-{self._names}-{uuid4().hex[:6]}"

    def home(self, user_id: str) -> int:
        """Return the partition that someone lives in."""
        return partition_of(user_id, self.partitions)

    # -- records in

    async def send(
        self,
        topic: str,
        value: Any,
        key: str | None = None,
        *,
        partition: int | None = None,
        headers: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> Sent:
        """Send one record where its key belongs; bytes go as they are, None is a tombstone.

        `at` is the record's own time, by default the wall clock's.
        """
        data = value if value is None or isinstance(value, bytes) else msgspec.json.encode(value)
        if partition is None:
            partition = partition_of(key, self.partitions) if key is not None else 0
        metadata = await self._producer.send_and_wait(
            topic,
            data,
            None if key is None else key.encode(),
            partition=partition,
            timestamp_ms=None if at is None else int(at.timestamp() * 1000),
            headers=[(name, text.encode()) for name, text in (headers or {}).items()],
        )
        return Sent(topic, metadata.partition, metadata.offset)

    async def person(self, **fields: Any) -> str:
        """Send someone's profile and return the id."""
        user_id: str = fields.pop("user_id", None) or self.name()
        profile = {
            "user_id": user_id,
            "email": f"{user_id}@example.com",
            "username": user_id.title(),
            "timezone": "Europe/Berlin",
            "locale": "en",
        }
        await self.send("users", profile | fields, user_id)
        return user_id

    async def film(self, **fields: Any) -> str:
        """Send a film and return its id."""
        film_id: str = fields.pop("film_id", None) or self.name("film")
        film = {
            "film_id": film_id,
            "title": f"The {film_id}",
            "url": f"https://c.example/{film_id}",
        }
        await self.send("films", film | fields, film_id)
        return film_id

    async def watch(self, user_id: str, film_id: str, at: datetime, **fields: Any) -> Sent:
        """Let someone watch a film for an hour."""
        value = {"user_id": user_id, "film_id": film_id, "seconds": 3600, "at": at.isoformat()}
        return await self.send("watch_history", value | fields, user_id)

    async def tick(self, at: datetime) -> None:
        """Tell every partition the time, and wait for all that follows from it."""
        # What was sent before is to be there when the time comes: partitions do not wait.
        await self.settle()
        self.now = at
        value = {"at": at.isoformat()}
        for partition in range(self.partitions):
            await self.send("clock", value, partition=partition)
        await self.settle()

    async def advance(self, **span: float) -> None:
        """Let time go on by a timedelta."""
        await self.tick(self.now + timedelta(**span))

    async def to_daytime(self) -> None:
        """Go on to ten in the morning, UTC, if it is not within the delivery window now."""
        if not 9 <= self.now.hour < 18:
            day = self.now if self.now.hour < 9 else self.now + timedelta(days=1)
            await self.tick(day.replace(hour=10, minute=0))

    # -- waiting

    async def settle(self, limit: float = SETTLE_LIMIT) -> Gauges:
        """Wait until the workers have processed all there is; return their numbers then."""
        deadline = monotonic() + limit
        waits: object = "the first look"
        while monotonic() < deadline:
            await self._tail.read()
            ends = dict(self._tail.ends)
            with suppress(aiohttp.ClientError, TimeoutError):
                streams = await self._read(self.up.addresses.streams)
                sender = await self._read(self.up.addresses.sender)
                waits = self._behind(streams) | self._behind(sender)
                if not waits:
                    await self._tail.read()
                    if self._tail.ends == ends:
                        return streams + sender
                    waits = "new records"
            await asyncio.sleep(POLL)
        raise AssertionError(
            f"not at rest within {limit} s, waits for {waits}: {self.up.errors[-3000:]}"
        )

    async def _read(self, workers: Iterable[str]) -> Gauges:
        return Gauges(*await asyncio.gather(*(self._page(url) for url in workers)))

    async def _page(self, url: str) -> str:
        async with self.http.get(f"{url}/metrics") as response:
            response.raise_for_status()
            return await response.text()

    def _behind(self, found: Gauges) -> dict[str, object]:
        """Return what the workers of an app still have to do."""
        topics = found.values("cinema_position", "topic")
        waits: dict[str, object] = {} if topics else {"topics": "none assigned"}
        for topic in topics:
            end = sum(end for place, end in self._tail.ends.items() if place[0] == topic)
            position = found.total("cinema_position", topic=topic)
            if position < end:
                waits[topic] = (position, end)
        for name in ("cinema_busy", "cinema_walks_open", "cinema_films_lag"):
            if number := found.total(name):
                waits[name] = number
        return waits

    # -- what comes out

    def jobs(self, user_id: str, kind: str | None = None) -> list[dict[str, Any]]:
        """Return someone's jobs, each id once."""
        found = {job["job_id"]: job for job in self.log.jobs[user_id]}
        return [job for job in found.values() if kind is None or job["kind"] == kind]

    def deliveries(self, user_id: str, kind: str | None = None) -> list[tuple[str, str]]:
        """Return status and reason of someone's deliveries, oldest first."""
        return [
            (one["status"], one["reason"])
            for one in self.log.deliveries[user_id]
            if kind is None or one["kind"] == kind
        ]

    def letter(self, sent: Sent) -> dict[str, Any]:
        """Return the dead letter that a record has become."""
        assert sent in self.log.letters, f"{sent} is no dead letter"
        return self.log.letters[sent]

    def error(self, sent: Sent) -> str:
        """Return why a record is a dead letter."""
        return str(self.letter(sent)["error"])

    def is_dead(self, sent: Sent) -> bool:
        """Tell whether a record has become a dead letter."""
        return sent in self.log.letters

    async def mails(self, address: str) -> list[Mail]:
        """Return the mails to an address, oldest first."""
        base = f"{self.up.addresses.mailbox}/api/v1"
        async with self.http.get(f"{base}/messages", params={"limit": "50000"}) as response:
            listed = (await response.json())["messages"]
        found = []
        for brief in reversed(listed):
            if any(to["Address"] == address for to in brief["To"] or ()):
                async with self.http.get(f"{base}/message/{brief['ID']}") as response:
                    whole = await response.json()
                async with self.http.get(f"{base}/message/{brief['ID']}/raw") as response:
                    raw = await response.text()
                found.append(
                    Mail(whole["Subject"], whole["Text"], whole["HTML"], raw, brief["MessageID"])
                )
        return found

    async def message_ids(self) -> list[tuple[str, str]]:
        """Return address and Message-ID of every mail."""
        base = f"{self.up.addresses.mailbox}/api/v1"
        async with self.http.get(f"{base}/messages", params={"limit": "50000"}) as response:
            listed = (await response.json())["messages"]
        return [(brief["To"][0]["Address"], brief["MessageID"]) for brief in listed]

    async def ready(self, *urls: str) -> bool:
        """Tell whether those workers are ready; all of the stack's without any."""
        wanted = urls or (*self.up.addresses.streams, *self.up.addresses.sender)
        return all(await asyncio.gather(*(self._ready(url) for url in wanted)))

    async def _ready(self, url: str) -> bool:
        try:
            async with self.http.get(f"{url}/health/ready") as response:
                return response.status == 200
        except OSError:
            return False

    async def get(self, path: str, worker: str | None = None) -> Any:
        """Return a page of a streams worker, asked with the key."""
        headers = {"Authorization": f"Bearer {self.up.addresses.api_key}"}
        async with self.http.get(f"{worker or self.streams}{path}", headers=headers) as response:
            assert response.status == 200, (response.status, await response.text())
            return await response.json()

    async def statistics(self, user_id: str, month: str | None = None) -> Any:
        """Return someone's month."""
        query = f"?month={month}" if month else ""
        return await self.get(f"/users/{user_id}/statistics{query}")

    def token(self, user_id: str) -> str:
        """Return a token for someone."""
        expires = datetime.now(UTC) + timedelta(hours=1)
        secret = self.up.addresses.jwt_secret
        return jwt.encode({"sub": user_id, "exp": expires}, secret, algorithm="HS256")

    async def frames(self, user_id: str, number: int, last_id: int = 0) -> list[dict[str, Any]]:
        """Return the hello and the first notifications that someone's socket gets."""
        async with self.http.ws_connect(f"{self.sender}/ws") as socket:
            await socket.send_json({"token": self.token(user_id), "last_id": last_id})
            return [await socket.receive_json(timeout=5) for _ in range(number + 1)]

    # -- the contract's equations

    async def wrong_numbers(self) -> list[str]:
        """Return what does not add up, once everything has come to rest."""
        found = await self.settle()
        wrong = []
        for topic in (topic.name for topic in INPUTS):
            ends = sum(end for place, end in self._tail.ends.items() if place[0] == topic)
            by = {one: found.total("cinema_records", topic=topic, outcome=one) for one in OUTCOMES}
            if sum(by.values()) != ends:
                wrong.append(f"{topic}: {ends} records, outcomes {by}")
        # Counted in Redis: every sender shows the same.
        told = Gauges(await self._page(self.sender))
        statuses = self.log.statuses()
        ids = {job["job_id"]: job["kind"] for many in self.log.jobs.values() for job in many}
        ids |= {job_id: kind for job_id, (kind, _) in statuses.items()}
        said = Counter(ids.values())
        for kind in KINDS:
            counted = found.total("cinema_job_ids", kind=kind)
            by = {one: told.total("cinema_deliveries", kind=kind, status=one) for one in STATUSES}
            queued = sum(1 for one, of in ids.items() if of == kind and one not in statuses)
            if counted != sum(by.values()) + queued:
                wrong.append(f"{kind}: {counted} job ids, statuses {by}, {queued} queued")
            if counted != said[kind]:
                wrong.append(f"{kind}: {counted} job ids counted, {said[kind]} on the topics")
        return wrong


def original(letter: Mapping[str, Any]) -> bytes:
    """Return the value that a dead letter carries."""
    return base64.b64decode(letter["value"])


def addresses_of(people: Iterable[str]) -> list[str]:
    """Return the addresses that `Cinema.person` gives by default."""
    return [f"{person}@example.com" for person in people]
