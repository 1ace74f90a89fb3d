"""`python -m dev`: the stack, sample events, the mailbox, the demo, and what documents show."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

# What each command runs; imported when asked for, since some need more packages than others.
COMMANDS: Final = {
    "up": "dev.up",
    "chaos": "dev.chaos.command",
    "events": "dev.samples",
    "mailbox": "dev.mailbox.server",
    "demo": "dev.demo",
    "reference": "dev.reference",
    "screenshots": "dev.screenshots",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its status."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: python -m dev {'|'.join(COMMANDS)} [--help]", file=sys.stderr)
        return 2
    return int(import_module(COMMANDS[arguments[0]]).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
