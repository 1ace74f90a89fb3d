"""`python -m streams`: what operators do with dead letters, and whether the numbers add up."""

from __future__ import annotations

import sys
from typing import Final

from streams.commands.running import dispatch

COMMANDS: Final = {
    "dead-letters": (
        "streams.commands.dead_letters",
        "list, show and replay records that could not be used",
    ),
    "key": ("streams.commands.key", "make an API key and its entry in CINEMA_API_KEYS"),
    "reconcile": (
        "streams.commands.reconcile",
        "read the topics and say whether all that came in and was decided is accounted for",
    ),
}

if __name__ == "__main__":
    sys.exit(dispatch("python -m streams", COMMANDS, sys.argv[1:]))
