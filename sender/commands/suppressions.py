"""`python -m sender suppressions`: the addresses that nothing is sent to, and lifting them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from sender.suppressions import lifting
from streams.commands.running import DONE, STATUSES, Meter, printable, run
from streams.commands.writing import raw, writing
from streams.declaring import bootstrap
from streams.errors import InvalidRecord
from streams.jobs import Suppression, address_hash
from streams.logs import Logs
from streams.settings import Settings
from streams.topics import SUPPRESSIONS

HASH: Final = re.compile(r"[0-9a-f]{32}")
_decode: Final = msgspec.json.Decoder(Suppression).decode


def main(arguments: Sequence[str]) -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m sender suppressions",
        description="An address is suppressed when a mail server says that it does not exist. "
        "Only its hash is kept; mails to it are skipped with the reason.",
        epilog=STATUSES,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser(
        "list", help="list hash, date and reason, the oldest first", epilog=STATUSES
    )
    listing.set_defaults(do=_list)
    lifts = commands.add_parser(
        "lift",
        help="let addresses be written to again",
        description="Let addresses be written to again. It holds for jobs that come after it; "
        "what was skipped before stays skipped.",
        epilog=STATUSES,
    )
    lifts.add_argument(
        "names", nargs="+", metavar="ADDRESS", help="an address, or its hash as `list` has it"
    )
    lifts.set_defaults(do=_lift)
    given = parser.parse_args(arguments)
    return run(partial(given.do, given))


async def _list(given: argparse.Namespace, settings: Settings) -> int:
    found = await _suppressed(settings)
    for name, one in sorted(found.items(), key=lambda pair: pair[1].at):
        print(f"{name}  {one.at:%Y-%m-%d %H:%M}  {printable(one.reason)}")
    print(f"{len(found)} suppressed")
    return DONE


async def _lift(given: argparse.Namespace, settings: Settings) -> int:
    names = {name if HASH.fullmatch(name) else address_hash(name) for name in given.names}
    found = await _suppressed(settings)
    if unknown := sorted(name for name in names if name not in found):
        raise InvalidRecord(f"not suppressed: {', '.join(unknown)} (`list` has those that are)")
    async with writing(settings) as write:
        await write(raw(lifting(name)) for name in sorted(names))
    print(f"{len(names)} lifted")
    return DONE


async def _suppressed(settings: Settings) -> dict[str, Suppression]:
    found: dict[str, Suppression] = {}
    meter = Meter()
    async with Logs(bootstrap(settings)) as logs:
        partitions = await logs.partitions(SUPPRESSIONS.name)
        async for records in logs.read(partitions, progress=meter):
            for record in records:
                name = (record.key or b"").decode(errors="replace")
                if record.value is None:
                    found.pop(name, None)
                else:
                    found[name] = _decode(record.value)
    meter.clear()
    return found
