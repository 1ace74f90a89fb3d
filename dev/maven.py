"""Java's libraries for the tests, from Maven Central: the jars that a `pom.xml` names."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from dev.children import TAIL_LINES
from dev.errors import StackError

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache"
# A first download of 43 MB takes 15 s on a good line.
DOWNLOAD_LIMIT: Final = 300.0


def program(name: str, package: str) -> str:
    """Return the path of a program; raises StackError that names its package if it is missing."""
    path = shutil.which(name)
    if path is None:
        raise StackError(f"{name} is not on PATH: apt install {package}")
    return path


async def run(*command: str, limit: float) -> None:
    """Run a command for so many seconds; raises StackError with its last lines if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), limit)
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        lines = output.decode(errors="replace").splitlines()[-TAIL_LINES:]
        raise StackError(f"{command[0]} ended with {process.returncode}:\n" + "\n".join(lines))


async def classpath(name: str, pom: Path) -> str:
    """Return the class path of the jars; fetched once for each version of the `pom.xml`.

    `name` begins their folder's. Raises StackError when Maven is missing or the download fails.
    """
    folder = _folder(name, pom)
    if not _complete(folder):
        CACHE.mkdir(exist_ok=True)
        maven = program("mvn", "maven")
        with tempfile.TemporaryDirectory(dir=CACHE) as partial:
            jars = Path(partial) / "jars"
            await run(
                *(maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"),
                f"-DoutputDirectory={jars}",
                limit=DOWNLOAD_LIMIT,
            )
            try:
                # In one step: a download that broke off never looks like a complete one.
                jars.rename(folder)
            except OSError:
                if not _complete(folder):
                    raise
    return str(folder / "*")


def _folder(name: str, pom: Path) -> Path:
    return CACHE / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def _complete(folder: Path) -> bool:
    return folder.is_dir()
