"""`python -m bench.delay PORT TARGET SECONDS`: a wire that is long.

What comes in on a port of the loopback goes on to the other so many seconds later, both ways.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

import uvloop

from dev.ports import HOST

CHUNK: Final = 1 << 16


async def serve(port: int, target: int, seconds: float) -> None:
    """Pass connections on until the process ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(HOST, target)
        await asyncio.gather(_pass(reader, onward, seconds), _pass(there, writer, seconds))

    server = await asyncio.start_server(connected, HOST, port)
    await server.serve_forever()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while data := (item := await under_way.get())[1]:
            await asyncio.sleep(max(0.0, item[0] - loop.time()))
            writer.write(data)
        writer.close()

    arriving = asyncio.create_task(arrive())
    data = b"to begin with"
    while data:
        data = b""
        with suppress(OSError):
            data = await reader.read(CHUNK)
        under_way.put_nowait((loop.time() + seconds, data))
    await arriving


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
