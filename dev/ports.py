"""Free TCP ports on loopback."""

from __future__ import annotations

import asyncio
import socket
import sys
from random import SystemRandom
from typing import Final

HOST: Final = "127.0.0.1"
# Below the range that Linux gives to outgoing connections (32768 and up): one of those could sit
# on a killed worker's port when it is to be started again at the same address.
FIRST: Final = 20_000
LAST: Final = 32_000

# Not the shared generator: tests seed it, and two of them side by side would get the same ports.
_random: Final = SystemRandom()
# Held until this process ends, however it ends: no file stays behind.
_claims: dict[int, socket.socket] = {}


def is_free(port: int) -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(wanted: int | None = None) -> int:
    """Return a port that nobody listens on, `wanted` if it is one; none is given twice."""
    port = wanted or _random.randint(FIRST, LAST)
    while not (is_free(port) and _claim(port)):
        port = _random.randint(FIRST, LAST)
    return port


def _claim(port: int) -> bool:
    """Keep other stacks from a port until its server listens, and while it is started again.

    Else two stacks started together would both be told that the intake's port is free, and one
    would take the other's worker for its own.
    """
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux":
        try:
            # A name that begins with NUL lies in no folder (unix(7), "Abstract sockets").
            claim.bind(f"\0cinema-port-{port}")
        except OSError:
            claim.close()
            return False
    _claims[port] = claim
    return True


async def is_open(port: int, host: str = HOST) -> bool:
    """Tell whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
