"""The data folder of a stack: one stack at a time, its secrets, the ids of its processes."""

from __future__ import annotations

import fcntl
import os
import secrets
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from dev.errors import StackError

DEFAULT: Final = Path("data")


class Secrets(msgspec.Struct, frozen=True):
    """Random for each folder, kept in it so that tokens and links outlive a restart."""

    api_key: str
    jwt_secret: str
    link_secret: str


class Folder:
    """A data folder that no other stack uses while this object lives."""

    def __init__(self, path: Path | None = None) -> None:
        """Take the folder, or the first free one of `data`, `data-2`, `data-3` and so on.

        Raises StackError when another stack uses the folder.
        """
        if path is not None:
            lock = _lock(path)
            if lock is None:
                raise StackError(f"another stack uses the folder {path}: stop it or name another")
            self.path, self._file = path.resolve(), lock
            return
        for number in count(1):
            path = DEFAULT if number == 1 else Path(f"{DEFAULT}-{number}")
            if lock := _lock(path):
                self.path, self._file = path.resolve(), lock
                return

    def close(self) -> None:
        """Let others have the folder."""
        self._file.close()

    def secrets(self) -> Secrets:
        """Return the folder's secrets, made at the first call."""
        path = self.path / "secrets.json"
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=Secrets)
        made = Secrets(*(secrets.token_urlsafe(32) for _ in range(3)))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(made))
        return made

    def write_pids(self, pids: dict[str, Any]) -> None:
        """Replace pids.json in one step: a reader never sees half of it."""
        partial = self.path / ".pids.json"
        partial.write_bytes(msgspec.json.encode(pids))
        partial.replace(self.path / "pids.json")


def _lock(path: Path) -> IO[bytes] | None:
    """Make the folder and lock it; None when another process has."""
    path.mkdir(parents=True, exist_ok=True)
    file = (path / "lock").open("wb")
    try:
        # Ends with the process, however that ends.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
