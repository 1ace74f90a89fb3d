"""`python -m sender`: what operators do with suppressed addresses, tokens and an empty Redis."""

from __future__ import annotations

import sys
from typing import Final

from streams.commands.running import dispatch

COMMANDS: Final = {
    "suppressions": (
        "sender.commands.suppressions",
        "list the addresses that nothing is sent to, and lift them",
    ),
    "revoke": ("sender.commands.revoke", "make tokens of people good for nothing any more"),
    "rebuild": ("sender.commands.rebuild", "fill Redis again from the topics"),
}

if __name__ == "__main__":
    sys.exit(dispatch("python -m sender", COMMANDS, sys.argv[1:]))
