from __future__ import annotations

import socket
import subprocess
import sys

from dev.ports import HOST, free_port, is_open


def in_another_process(port: int) -> int:
    code = f"from dev.ports import free_port; print(free_port({port}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(run.stdout)


def test_a_port_that_was_given_is_not_given_again() -> None:
    port = free_port()
    assert free_port(port) != port
    assert in_another_process(port) != port


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert free_port(port) != port


async def test_a_port_is_open_while_somebody_listens() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert await is_open(port)
    assert not await is_open(port)
