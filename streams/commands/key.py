"""`python -m streams key`: a new API key, and what of it stands in the setting."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from streams.commands.running import DONE
from streams.keys import SCOPES, TOPIC_SCOPES, entry_of, new_key


def main(arguments: Sequence[str]) -> int:
    """Make a key and print it once; it is kept nowhere."""
    parser = argparse.ArgumentParser(
        prog="python -m streams key",
        description="Make an API key. It is shown once: give it to the program, and add the entry, "
        "which holds its hash alone, to CINEMA_API_KEYS of all workers.",
    )
    parser.add_argument(
        "scopes",
        nargs="*",
        metavar="SCOPE",
        help="intake, intake/TOPIC, read or admin; all without any",
    )
    given = parser.parse_args(arguments)
    if unknown := sorted({*given.scopes} - SCOPES - TOPIC_SCOPES):
        parser.error(f"no scope: {', '.join(unknown)}")
    key = new_key()
    print(f"key    {key}\nentry  {entry_of(key, given.scopes)}")
    return DONE
