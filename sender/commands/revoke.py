"""`python -m sender revoke`: tokens that are to be good for nothing any more."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from streams.commands.running import DONE, STATUSES, run
from streams.commands.writing import raw, writing
from streams.declaring import bootstrap
from streams.events import now_utc
from streams.logs import Logs
from streams.revocations import of_person, of_token, record
from streams.settings import Settings
from streams.topics import REVOCATIONS

DESCRIPTION = """\
Revoke tokens of people, before they expire. Every worker refuses them from then on, and open
sockets that came with one are closed with 4401, by each sender, as soon as one of them has read the
record.
Only hashes are kept, for 400 days. It cannot be taken back: the auth service gives a new token."""


def main(arguments: Sequence[str]) -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m sender revoke",
        description=DESCRIPTION,
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        choices=("user", "jti"),
        help="user: all tokens of that person issued until now, and those that do not say when "
        "(`iat`); jti: the one token that has that `jti`",
    )
    parser.add_argument("ids", nargs="+", metavar="ID", help="a user's id, or a token's `jti`")
    given = parser.parse_args(arguments)
    return run(partial(_revoke, given))


async def _revoke(given: argparse.Namespace, settings: Settings) -> int:
    name_of = of_person if given.what == "user" else of_token
    now = now_utc()
    async with Logs(bootstrap(settings)) as logs:
        await logs.partitions(REVOCATIONS.name)
    async with writing(settings) as write:
        await write(raw(record(name_of(one), now)) for one in given.ids)
    print(f"{len(given.ids)} revoked")
    return DONE
