"""People whose browsers stay open all the time: sockets that come back from where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count

import aiohttp

from dev.chaos.marks import marks_in, told_by
from dev.chaos.witnesses import token
from dev.stack import Addresses

# Seconds until a browser tries again, at the next sender.
AGAIN = 0.5


class Viewers:
    """Open sockets of some people. `frames` are what each has seen, in order."""

    def __init__(
        self, people: Sequence[str], http: aiohttp.ClientSession, addresses: Addresses
    ) -> None:
        self.frames: dict[str, list[tuple[int, str | None]]] = {one: [] for one in people}
        self.connects = 0
        self._http = http
        self._addresses = addresses

    async def watch(self) -> None:
        """Keep looking until cancelled."""
        await asyncio.gather(*(self._watch(one, number) for number, one in enumerate(self.frames)))

    async def _watch(self, user_id: str, first: int) -> None:
        for number in count(first):
            worker = self._addresses.sender[number % len(self._addresses.sender)]
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self._http.ws_connect(f"{worker}/ws", heartbeat=5) as socket:
                    self.connects += 1
                    await self._listen(user_id, socket)
            await asyncio.sleep(AGAIN)

    async def _listen(self, user_id: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        frames = self.frames[user_id]
        last = frames[-1][0] if frames else 0
        await socket.send_json({"token": token(user_id, self._addresses), "last_id": last})
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                # A sender that was stopped answers no ping.
                return
            frame = message.json()
            if frame["type"] == "notification":
                frames.append((frame["id"], told_by(marks_in(frame["body"].encode()))))
