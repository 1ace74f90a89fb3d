"""`python -m sender rebuild`: fill Redis again from the topics."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Sequence

from sender.ledger import Ledger
from sender.refill import Refill
from sender.refilling import LOOK, Filling
from sender.suppressions import Suppressions
from streams.commands.running import DONE, STATUSES, Meter, run
from streams.declaring import bootstrap
from streams.delivery_log import DeliveryLog
from streams.errors import RedisUnavailable
from streams.logs import Logs
from streams.serving import connect
from streams.settings import Settings

DESCRIPTION = """\
Fill Redis again from the topics: inboxes with their ids and what was read, the lists and counts of
deliveries, suppressions, confirmation links, erasures, and which jobs came to an end in the last 30
days. Senders do this by themselves where they find Redis empty; run it when only a part of it is
gone or wrong, or an old snapshot was loaded. Running senders wait meanwhile and are not ready; jobs
wait on their topics. What is there already stays, but counts and suppressions, which are made anew.

Not on the topics, and so not put back: which jobs are being tried at this moment (one whose try
was not noted yet may go out a second time), how often links were looked at, and the counts of jobs
whose deliveries are older than 30 days.

Wants the senders' settings, of the secrets CINEMA_LINK_SECRET: links are made of them."""


def main(arguments: Sequence[str]) -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m sender rebuild",
        description=DESCRIPTION,
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    return run(_rebuild, needs=("link_secret",))


async def _rebuild(settings: Settings) -> int:
    redis = connect(settings.redis)
    try:
        owner = f"rebuild-{socket.gethostname()}-{os.getpid()}"
        refill = Refill(redis, settings, Ledger(redis, owner, secrets.token_hex(4)))
        filling = Filling(redis, refill, lambda: Logs(bootstrap(settings)))
        if not await filling.begin(owner):
            raise RedisUnavailable("it is being filled already: see the senders' logs")
        await filling.clear()
        # Until every sender has seen it and waits.
        await asyncio.sleep(2 * LOOK)
        await DeliveryLog(redis).reset()
        await Suppressions(redis).reset()
        meter = Meter()
        counts = await filling.fill(owner, meter)
        meter.clear()
    finally:
        await redis.aclose()
    print(*(f"{number} {what}" for what, number in counts.items()), sep="\n")
    print("redis is full", file=sys.stderr)
    return DONE
