"""Apache Kafka on this machine: one node in KRaft mode, from the jars that `pom.xml` names."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Final
from uuid import uuid4

from dev import maven
from dev.children import Child
from dev.ports import HOST, free_port

POM: Final = Path(__file__).resolve().parent.parent / "pom.xml"

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


def _cluster_id() -> str:
    while (text := base64.urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return text


async def kafka(port: int, data: Path) -> Child:
    """Return an Apache Kafka for that port, formatted and not started yet.

    Raises StackError when Java, Maven or the jars cannot be had.
    """
    java = maven.program("java", "default-jdk-headless")
    jars = await maven.classpath("kafka", POM)
    home = data / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    logs = home / "log"
    properties = home / "server.properties"
    properties.write_text(
        PROPERTIES.format(host=HOST, port=port, controller=free_port(), logs=logs.resolve())
    )
    if not (logs / "meta.properties").exists():
        await maven.run(
            *(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", jars),
            *("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)),
            limit=60,
        )
    # Serial collector: two cores are shared with everything that is measured.
    command = [java, "-Xmx1g", "-XX:+UseSerialGC", "-cp", jars, "kafka.Kafka", str(properties)]
    return Child("broker", command, data / "broker.log", environ=dict(os.environ))
