"""`python -m streams dead-letters`: look at records that could not be used, and replay them."""

from __future__ import annotations

import argparse
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

from aiokafka import TopicPartition

from streams.commands import letters, replaying
from streams.commands.letters import Letter, add_filters, choice
from streams.commands.running import DONE, STATUSES, WRONG, Meter, printable, run
from streams.commands.writing import writing
from streams.declaring import bootstrap
from streams.errors import InvalidRecord
from streams.events import now_utc
from streams.jobs import decode_dead_letter
from streams.logs import Logs
from streams.settings import Settings
from streams.topics import DEAD_LETTERS

# What a line of `list` shows of an error.
WIDTH: Final = 100
LAST: Final = 50
NAMES: Final = "a letter's id, such as 3/17, or where the record lay, such as activity/3/4711"
REPLAYING: Final = """\
Send the records of dead letters to where they came from, once what made them fail is mended. Each
keeps its bytes, key, time and identity: what was done for it before is not done again, and no mail
comes twice. Letters that were replayed are passed over, and so are records that a newer one of the
same key has replaced (users, films, campaigns), records over 1 MiB, of which the letter holds a
part only, and records older than 30 days, since no ledger remembers what was sent for them; all of
these but the cut ones can be replayed with --force. A watch that was replayed more than 7 days ago
and is replayed again with --force counts twice.

`list` with the same flags shows which they are."""


def main(arguments: Sequence[str]) -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m streams dead-letters", description=__doc__, epilog=STATUSES
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list them, with counts", epilog=STATUSES)
    add_filters(listing)
    listing.add_argument(
        "--last", type=int, default=LAST, metavar="N", help=f"show the last N (default {LAST})"
    )
    listing.set_defaults(do=_list, names=())
    showing = commands.add_parser("show", help="show one with its value", epilog=STATUSES)
    showing.add_argument("names", nargs=1, metavar="LETTER", help=NAMES)
    showing.set_defaults(do=_show, topic=(), error=None, since=None, until=None)
    replays = commands.add_parser(
        "replay",
        help="send their records again",
        description=REPLAYING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=STATUSES,
    )
    replays.add_argument("names", nargs="*", metavar="LETTER", help=NAMES)
    replays.add_argument("--all", action="store_true", help="all that meet the other flags")
    replays.add_argument("--force", action="store_true", help="also those passed over (see above)")
    add_filters(replays)
    replays.set_defaults(do=_replay)
    given = parser.parse_args(arguments)
    if given.do is _replay and bool(given.names) == given.all:
        replays.error("name letters, or say --all (and --topic, --error, --since, --until)")
    return run(partial(_run, given))


async def _run(given: argparse.Namespace, settings: Settings) -> int:
    wanted = choice(given)
    async with Logs(bootstrap(settings)) as logs:
        meter = Meter()
        everything = await letters.read(logs, meter)
        meter.clear()
        if unknown := letters.missing(wanted.names, everything):
            raise InvalidRecord(f"there is no dead letter {', '.join(unknown)}: `list` has them")
        chosen = [letter for letter in everything if wanted.takes(letter)]
        status: int = await given.do(given, settings, logs, chosen)
        return status


async def _list(
    given: argparse.Namespace, settings: Settings, logs: Logs, chosen: list[Letter]
) -> int:
    by_time = sorted(chosen, key=lambda letter: letter.heading.at)
    for letter in by_time[max(len(by_time) - given.last, 0) :]:
        heading = letter.heading
        error = heading.error if len(heading.error) <= WIDTH else f"{heading.error[:WIDTH]}…"
        state = "replayed" if letter.replayed else "waiting"
        print(
            f"{letter.id:10} {heading.at:%Y-%m-%d %H:%M:%S} {state:8} {heading.place:28} "
            f"{heading.length:>8} B  {printable(error)}"
        )
    counts = Counter(
        (letter.heading.topic, letter.heading.error_class, letter.replayed) for letter in chosen
    )
    if not counts:
        print("no dead letters")
    for topic, error in sorted({(topic, error) for topic, error, _ in counts}):
        waiting, replayed = counts[topic, error, False], counts[topic, error, True]
        print(f"{topic:20} {error:24} {waiting:>8} waiting {replayed:>8} replayed")
    return DONE


async def _show(
    given: argparse.Namespace, settings: Settings, logs: Logs, chosen: list[Letter]
) -> int:
    for letter in chosen:
        partition, offset = map(int, letter.id.split("/"))
        tp = TopicPartition(DEAD_LETTERS.name, partition)
        async for records in logs.read([tp], {tp: offset}, {tp: offset + 1}):
            found = decode_dead_letter(records[0].value)
            cut = "" if replaying.intact(found) else ", of which the letter holds 1 MiB"
            key = None if found.key is None else b64decode(found.key)
            print(f"letter     {letter.id} ({'replayed' if letter.replayed else 'waiting'})")
            print(f"record     {letter.heading.place} of {found.timestamp.isoformat()}")
            print(f"identity   {found.origin}")
            print(f"given up   {found.at.isoformat()}")
            print(f"error      {printable(found.error)}")
            for frame in found.stack:
                print(f"           {frame}")
            print(f"key        {None if key is None else key.decode(errors='backslashreplace')}")
            for name, value in found.headers.items():
                print(f"header     {name}: {b64decode(value or '')!r}")
            print(f"value      {found.length} bytes{cut}, SHA-256 {found.sha256}")
            print(replaying.shown(found))
    return DONE


async def _replay(
    given: argparse.Namespace, settings: Settings, logs: Logs, chosen: list[Letter]
) -> int:
    meter = Meter()
    newer = await replaying.superseded(logs, chosen, meter)
    now = now_utc()
    reasons = {one.id: replaying.refusal(one, now, newer, given.force) for one in chosen}
    going = [letter for letter in chosen if reasons[letter.id] is None]
    async with writing(settings) as write:
        sent = await replaying.replay(logs, going, write, meter)
    meter.clear()
    refused = [letter for letter in chosen if reasons[letter.id] is not None]
    # With --all it is no surprise that some were replayed before.
    known = [letter for letter in refused if given.all and letter.replayed]
    for letter in refused:
        if letter not in known:
            where = f"{letter.id} ({letter.heading.place})"
            print(f"{where} is not replayed: {reasons[letter.id]}", file=sys.stderr)
    print(f"{sent} replayed, {len(known)} replayed before, {len(refused) - len(known)} refused")
    return WRONG if len(refused) > len(known) else DONE
