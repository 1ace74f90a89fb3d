"""One run: load, accidents, rest, and the reckoning."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic, time
from typing import Any, Final

import aiohttp
import msgspec

from dev.chaos import smtp
from dev.chaos.accidents import Accidents
from dev.chaos.book import Book
from dev.chaos.evidence import Evidence
from dev.chaos.faults import Shares
from dev.chaos.feed import Feed
from dev.chaos.figures import Owners, longest_gap, spread, take_overs
from dev.chaos.load import Load
from dev.chaos.meanwhile import Meanwhile
from dev.chaos.numbers import equations
from dev.chaos.rest import Left, Rest
from dev.chaos.summary import Summary, counted
from dev.chaos.verifier import Finding, verify
from dev.chaos.viewers import AGAIN, Viewers
from dev.chaos.witnesses import read_frames, read_logs, read_statistics
from dev.chaos.world import REGULARS
from dev.cinema.tail import Tail
from dev.logs import read_topic
from dev.services import KAFKA
from dev.stack import Options as StackOptions
from dev.stack import Stack
from dev.supervisor import say
from streams.settings import PREFIX
from streams.topics import OUTBOX_URGENT, TOPICS

# Of retries a day is 26 s and the six hours of a full mailbox are 6. Mails go at every hour.
SETTINGS: Final = {f"{PREFIX}RETRY_SCALE": "0.0003", f"{PREFIX}DELIVERY_WINDOW": "00:00-00:00"}
# What is left at the end of the load is done in seconds; a fifth try rests for 26.
DRAIN_LIMIT: Final = 240.0
# Inboxes read over /ws: each is a socket.
SOCKETS: Final = 300
TELL: Final = 5.0
SHOWN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long (`kills`, if any, ends it earlier or later than `seconds`), how hard, which dice."""

    seconds: float = 180.0
    kills: int | None = None
    seed: int = 1
    rate: float = 150.0
    users: int = 0
    data: Path | None = None
    shares: Shares = field(default_factory=Shares)


class Chaos:
    """One run."""

    def __init__(self, options: Options, stack: Stack, http: aiohttp.ClientSession) -> None:
        self.options, self._stack, self.http = options, stack, http
        self.addresses = stack.addresses
        self.data = Path(stack.addresses.data)
        self.book, self.evidence = Book(), Evidence()
        self.load = Load(options.seed, stack.settings.partitions, datetime.now(UTC))
        self.book.addresses = self.load.addresses
        self.feed = Feed(self.addresses.broker, self.book, self.data)
        self.tail = Tail(self.addresses.broker, TOPICS, self.evidence.hear)
        self.rest = Rest(self.addresses, http, self.tail)
        self.accidents = Accidents(self.data, options.seed)
        self.owners = Owners(self.addresses.streams, http)
        self.viewers = Viewers(REGULARS, http, self.addresses)

    async def play(self, torment: Callable[[], Any]) -> Summary:
        """Send, torment the processes meanwhile, let all come to rest, and reckon."""
        await self.tail.start()
        await self.feed.start()
        try:
            await self.feed.send(self.load.prologue())
            await self.feed.send(self.load.people(self.options.users))
            await self._drain("before the load")
            begin = time()
            watching = self.owners.watch(), self.accidents.watch(), self._tell()
            async with Meanwhile(*watching, self.viewers.watch()):
                pouring = self.feed.pour(self.load.events(), self.options.rate)
                async with Meanwhile(pouring):
                    await torment()
                end = time()
                await self.feed.settled()
                drained = monotonic()
                left = await self._drain("after the load")
                drain_seconds = monotonic() - drained
                if not left:
                    await self.feed.send(self.load.epilogue())
                    left = await self._drain("after the last episodes")
                # A frame is on its way for longer than a position.
                await asyncio.sleep(AGAIN * 2)
            return await self._reckon(begin, end, drain_seconds, left)
        finally:
            await self.feed.stop()
            await self.tail.stop()

    async def torment(self) -> None:
        """Kill, stop and take away, for as long or as often as was asked."""
        options = self.options

        async def enough() -> None:
            if options.kills is None:
                await asyncio.sleep(options.seconds)
            else:
                while self.accidents.count("kill") < options.kills:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

        async with Meanwhile(self.accidents.strike(), self.accidents.outages()):
            await enough()

    async def _drain(self, when: str) -> Left:
        told = monotonic()

        def tell(left: Left) -> None:
            nonlocal told
            if monotonic() - told > TELL:
                told = monotonic()
                say(f"chaos: {when}, left: {left}")

        return await self.rest.drained(DRAIN_LIMIT, tell)

    async def _tell(self) -> None:
        began = monotonic()
        while True:
            await asyncio.sleep(TELL)
            count = self.accidents.count
            say(
                f"chaos: {monotonic() - began:.0f} s, {len(self.book.places)} of {self.feed.sent} "
                f"events acknowledged, {count('kill')} kills, {count('stop')} stops, "
                f"{count('death')} deaths, {count('outage') + count('restart')} outages"
            )

    async def _reckon(self, begin: float, end: float, drain: float, left: Left) -> Summary:
        evidence, addresses = self.evidence, self.addresses
        await self.tail.read()
        evidence.now = datetime.now(UTC)
        evidence.accidents, evidence.live = self.accidents.past, self.viewers.frames
        read_logs(evidence, self.data)
        await read_statistics(evidence, self.book, self.http, addresses)
        people = sorted({entry.user_id for entry in evidence.inbox})
        some = Random(self.options.seed).sample(people, min(SOCKETS, len(people)))
        await read_frames(evidence, some, self.http, addresses)
        findings = [*verify(self.book, evidence), *equations(self.rest.numbers, evidence)]
        if left:
            findings.append(Finding("lost", f"not at rest after {DRAIN_LIMIT:.0f} s: {left}"))
        self._write(findings)
        outputs: defaultdict[int, list[float]] = defaultdict(list)
        for record in await read_topic(addresses.broker, OUTBOX_URGENT.name):
            outputs[record.partition].append(record.timestamp / 1000)
        taken = take_overs(evidence.accidents, self.owners, outputs)
        return Summary(
            seed=self.options.seed,
            seconds=round(end - begin, 1),
            rate=self.options.rate,
            users=self.options.users,
            **counted(self.book, evidence, self.accidents, findings),
            take_over=spread([one.seconds for one in taken]),
            take_over_alone=spread([one.seconds for one in taken if one.alone]),
            urgent_gap=round(longest_gap(evidence.mails, begin, end), 2),
            drained=not left,
            drain_seconds=round(drain, 1),
            data=str(self.data),
            findings=[f"{one.what}: {one.text}" for one in findings[:SHOWN]],
        )

    def _write(self, findings: Sequence[Finding]) -> None:
        """Keep all that is wrong, and what happened when, beside the logs."""
        for name, rows in (("findings", findings), ("accidents", self.accidents.past)):
            lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
            (self.data / f"{name}.jsonl").write_bytes(lines)


async def run(options: Options, torment: Callable[[Chaos], Any] = Chaos.torment) -> Summary:
    """Run it all on a stack of its own and return the summary."""
    mailbox = partial(smtp.service, seed=options.seed, shares=options.shares)
    wanted = StackOptions(
        broker=KAFKA, streams=2, sender=2, data=options.data, mailbox=mailbox, settings=SETTINGS
    )
    timeout = aiohttp.ClientTimeout(total=10)
    say(f"chaos: seed {options.seed}")
    async with Stack(wanted) as stack, aiohttp.ClientSession(timeout=timeout) as http:
        say(f"chaos: data in {stack.addresses.data}")
        chaos = Chaos(options, stack, http)
        return await chaos.play(partial(torment, chaos))
