"""What the workers need, as children with an address and a way to ask whether they are ready."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from dev import broker as tansu
from dev import kafka as apache
from dev import redis as store
from dev.children import Child
from dev.ports import HOST, free_port, is_open

EMBEDDED: Final = "embedded"
KAFKA: Final = "kafka"


class Service(NamedTuple):
    """One service. `vital`: when it ends it cannot be started again."""

    child: Child
    address: str
    ready: Callable[[], Awaitable[bool]]
    vital: bool = False


async def broker(kind: str, data: Path) -> Service:
    """Return a broker of our own; raises StackError when it cannot be had."""
    port = free_port()
    address = f"{HOST}:{port}"
    if kind == KAFKA:
        return Service(await apache.kafka(port, data), address, partial(speaks_kafka, address))
    # Memory only: its topics end with it, and workers that have declared theirs would not know.
    child = tansu.embedded(port, data)
    return Service(child, address, partial(speaks_kafka, address), vital=True)


def redis(data: Path, *, broker: str, keeps: bool = True) -> Service:
    """Return a Redis; it starts empty where the folder's last broker was another.

    What it holds follows from the topics: beside others it would call jobs done that never were.
    """
    folder, mark = data / "redis", data / "redis" / "broker"
    if broker == EMBEDDED or not mark.exists() or mark.read_text() != broker:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(broker)
    port = free_port()
    return Service(store.redis(port, data, keeps=keeps), f"{HOST}:{port}", partial(is_open, port))


def mailbox(data: Path) -> tuple[Service, str]:
    """Return a mailbox, its address the one for SMTP, and the URL of its pages."""
    smtp, http = free_port(), free_port()
    command = [sys.executable, "-m", "dev", "mailbox"]
    ports = ["--smtp-port", str(smtp), "--http-port", str(http)]
    child = Child("mailbox", command + ports, data / "mailbox.log")
    return Service(child, f"{HOST}:{smtp}", partial(is_open, http)), f"http://{HOST}:{http}"


async def speaks_kafka(address: str) -> bool:
    """Tell whether a broker answers there."""
    host, _, port = address.rpartition(":")
    if not await is_open(int(port), host):
        # aiokafka would log an error for each try.
        return False
    client = AIOKafkaClient(bootstrap_servers=address)
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True
