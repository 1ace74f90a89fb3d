"""`python -m bench.wire_worker OPTIONS`: one mail over and over through the sender's own pool.

Under uvloop, as the workers are. Prints seconds of the clock and of the CPU.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, process_time

import msgspec
import uvloop

from sender.smtp.envelope import Envelope
from sender.smtp.pool import Pool
from streams.settings import SmtpServer

SENDER = "noreply@cinema.example"
RECIPIENT = "ann@example.com"


class Options(msgspec.Struct):
    """Where to send what how often, and how many mails at once."""

    url: str
    file: str
    mails: int
    warm: int
    at_once: int


async def run(options: Options, content: bytes) -> dict[str, float]:
    """Send the mails and return the times without those of the first."""
    envelope = Envelope(SENDER, RECIPIENT, False, lambda eightbit: content)
    pool = Pool([SmtpServer.from_url(options.url)], "bench.example", size=options.at_once)
    await _send(pool, envelope, options.at_once, options.warm)
    began, used = monotonic(), process_time()
    await _send(pool, envelope, options.at_once, options.mails)
    times = {"seconds": monotonic() - began, "cpu": process_time() - used}
    await pool.close()
    return times


async def _send(pool: Pool, envelope: Envelope, at_once: int, count: int) -> None:
    async def work(numbers: Iterator[int]) -> None:
        for _ in numbers:
            outcome = await pool.send(envelope)
            if outcome.status != "sent":
                raise RuntimeError(outcome.reason)

    numbers = iter(range(count))
    await asyncio.gather(*(work(numbers) for _ in range(at_once)))


def main(argument: str) -> None:
    """Run as the JSON says."""
    options = msgspec.json.decode(argument, type=Options)
    times = uvloop.run(run(options, Path(options.file).read_bytes()))
    print(msgspec.json.encode(times).decode())


if __name__ == "__main__":
    main(sys.argv[1])
