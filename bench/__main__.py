"""`python -m bench [NAME ...]`: run benchmarks, print one JSON object a line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import msgspec

from bench.figures import say
from streams.errors import CinemaError

#: What each name runs, in this order.
BENCHMARKS: Final = (
    "boundary",
    "time",
    "wire",
    "mails",
    "bulk",
    "latency",
    "walks",
    "readiness",
    "takeover",
    "memory",
    "recovery",
    "sockets",
)


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, all when none is named; returns the exit status."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        say(f"no benchmark {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")
        return 2
    # What ends under load says so itself; aiokafka warns of each broker that is gone.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    failed = False
    for name in names or BENCHMARKS:
        try:
            for figure in import_module(f"bench.{name}").run():
                print(msgspec.json.encode(figure).decode(), flush=True)
        except CinemaError as error:
            failed = True
            say(f"{name}: {error}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
