"""The commands as an operator runs them: processes of their own beside a running stack."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev.stack import Addresses

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT: Final = 60.0


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Commands:
    """Runs commands with the settings of a stack, and no secrets unless they are given."""

    def __init__(self, addresses: Addresses, broker_kind: str) -> None:
        scheme = "kafka" if broker_kind == "kafka" else "embedded"
        self._environ = {
            name: value for name, value in os.environ.items() if not name.startswith("CINEMA_")
        } | {"CINEMA_BROKER": f"{scheme}://{addresses.broker}", "CINEMA_REDIS": addresses.redis}

    async def __call__(self, *words: str, **settings: str) -> Ran:
        """Run `python -m WORDS` and wait for its end."""
        named = {f"CINEMA_{name}": value for name, value in settings.items()}
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=self._environ | named,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)
