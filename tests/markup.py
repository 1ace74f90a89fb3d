"""The Nu HTML Checker, as validator.w3.org runs it: mistakes in the HTML of pages and mails."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from dev import maven

POM = Path(__file__).with_name("pom.xml")
CHECKER = "nu.validator.client.SimpleCommandLineValidator"
#: For tests that call `mistakes`.
needs_java = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("mvn")), reason="there are no Java and Maven on PATH"
)


async def mistakes(documents: Mapping[str, str], folder: Path) -> list[str]:
    """Return what the checker calls an error, each with the name of its document.

    Its warnings are left out: mail clients want attributes that HTML has given up. One process
    looks at all documents, since Java and the grammars take 3 s to come up.
    """
    for name, text in documents.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(maven.program("java", "default-jdk-headless"), "-Xss8m", "-cp"),
        *(await maven.classpath("markup", POM), CHECKER, "--format", "json", str(folder)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return [
        f"{Path(one.get('url', '')).stem}:{one.get('lastLine')}: {one['message']}"
        for one in json.loads(said)["messages"]
        if one["type"] != "info"
    ]
