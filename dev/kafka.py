"""Apache Kafka on this machine: one node in KRaft mode, from the jars that `pom.xml` names."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final
from uuid import uuid4

from dev.children import TAIL_LINES, Child
from dev.errors import StackError
from dev.ports import HOST, free_port

ROOT: Final = Path(__file__).resolve().parent.parent
POM: Final = ROOT / "pom.xml"
CACHE: Final = ROOT / ".cache"
# A first download of 43 MB from Maven Central takes 15 s on a good line.
DOWNLOAD_LIMIT: Final = 300.0

PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


async def _run(*command: str, limit: float) -> None:
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


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise StackError(f"Apache Kafka needs {name}, which is not on PATH: apt install {package}")
    return path


async def libraries() -> Path:
    """Return the folder of Kafka's jars; fetched once for each version of `pom.xml`.

    Raises StackError when Maven is missing or the download fails.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"kafka-{digest}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(exist_ok=True)
    maven = _program("mvn", "maven")
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        output = Path(partial) / "jars"
        await _run(
            *(maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"),
            f"-DoutputDirectory={output}",
            limit=DOWNLOAD_LIMIT,
        )
        try:
            # In one step: a download that broke off never looks like a complete one.
            output.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def _cluster_id() -> str:
    while (text := base64.urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return text


async def kafka(port: int, data: Path) -> Child:
    """Return an Apache Kafka for that port, formatted and not started yet.

    Raises StackError when Java, Maven or the jars cannot be had.
    """
    java = _program("java", "default-jdk-headless")
    classpath = str(await libraries() / "*")
    home = data / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    logs = home / "log"
    properties = home / "server.properties"
    properties.write_text(
        PROPERTIES.format(host=HOST, port=port, controller=free_port(), logs=logs.resolve())
    )
    if not (logs / "meta.properties").exists():
        await _run(
            *(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath),
            *("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)),
            limit=60,
        )
    # Serial collector: two cores are shared with everything that is measured.
    command = [java, "-Xmx1g", "-XX:+UseSerialGC", "-cp", classpath, "kafka.Kafka", str(properties)]
    return Child("broker", command, data / "broker.log", environ=dict(os.environ))
