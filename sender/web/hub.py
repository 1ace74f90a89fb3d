"""One pub/sub connection for all sockets of a worker.

redis-py's PubSub mends a lost connection in silence, and what was published meanwhile is gone. So
the connection is ours: on every new one all channels are subscribed again, and each feed is told
to look at the inbox again once its subscription is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from itertools import islice
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sender.inbox import channel, decode_message
from sender.web.feed import Feed
from streams.errors import RedisUnavailable
from streams.serving import AWAY
from streams.tasks import end

logger = logging.getLogger(__name__)

# A dead peer is noticed by silence: the ping's answer comes at least this often.
PING_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 25.0
ACK_SECONDS: Final = 5.0
# Channels in one SUBSCRIBE: no command holds Redis for longer than a millisecond.
CHUNK: Final = 500
RETRY_SECONDS: Final = (0.05, 2.0)
#: What a message starts with that takes a socket's seat (see seats.py); the rest is the inbox's.
EVICT: Final = b"x "


class Hub:
    """Subscribes to the channels of those who are connected, and hands messages to their feeds."""

    def __init__(self, url: str) -> None:
        """Connect to that Redis when started."""
        self._pool: ConnectionPool = ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=ACK_SECONDS,
        )
        self._connection: Any = None
        self._feeds: dict[bytes, set[Feed]] = {}
        #: SUBSCRIBEs sent and not acknowledged yet, by channel.
        self._pending: Counter[bytes] = Counter()
        #: Channels that are acknowledged, and who waits for others to be.
        self._known: set[bytes] = set()
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._sending = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        #: How often the connection had to be made anew.
        self.reconnects = 0

    async def start(self) -> None:
        """Connect in the background."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._ping())]

    async def stop(self) -> None:
        """Close the connection."""
        await end(*self._tasks, *self._writing)
        await self._drop()

    async def join(self, user_id: str, feed: Feed) -> None:
        """Subscribe the feed to the user's channel and wait for the acknowledgement.

        Raises RedisUnavailable when there is none in 5 s; the feed is then not subscribed.
        """
        name = channel(user_id)
        first = name not in self._feeds
        self._feeds.setdefault(name, set()).add(feed)
        if name in self._known:
            return
        known = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(known)
        try:
            if first:
                await self._subscribe([name])
            async with asyncio.timeout(ACK_SECONDS):
                await known
        except TimeoutError:
            await self.leave(user_id, feed)
            raise RedisUnavailable("Redis does not acknowledge a subscription") from None
        except asyncio.CancelledError:
            await self.leave(user_id, feed)
            raise

    async def leave(self, user_id: str, feed: Feed) -> None:
        """Take the feed off; the last one of a user unsubscribes."""
        name = channel(user_id)
        feeds = self._feeds.get(name)
        if feeds is None or feed not in feeds:
            return
        feeds.discard(feed)
        if not feeds:
            del self._feeds[name]
            self._known.discard(name)
            self._waiting.pop(name, None)
            await self._send(b"UNSUBSCRIBE", name)

    async def _subscribe(self, names: list[bytes]) -> None:
        if self._connection is not None:
            self._pending.update(names)
            await self._send(b"SUBSCRIBE", *names)

    async def _send(self, *command: bytes) -> None:
        """Send on the connection there is; a failure is the reader's to mend.

        It is sent though who asked is cancelled: others may wait for the same acknowledgement, and
        half a command would cost the connection.
        """
        task = asyncio.create_task(self._write(*command))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        await asyncio.shield(task)

    async def _write(self, *command: bytes) -> None:
        async with self._sending:
            connection = self._connection
            # Else redis-py would connect again by itself, without the other subscriptions.
            if connection is not None and connection.is_connected:
                with contextlib.suppress(*AWAY):
                    await connection.send_command(*command, check_health=False)

    async def _run(self) -> None:
        """Keep a connection, for ever."""
        delay = RETRY_SECONDS[0]
        while True:
            try:
                connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]
                await connection.connect()
                self._connection = connection
                self._known.clear()
                self._pending.clear()
                names = iter(list(self._feeds))
                while part := list(islice(names, CHUNK)):
                    await self._subscribe(part)
                delay = RETRY_SECONDS[0]
                while (
                    reply := await connection.read_response(timeout=SILENCE_SECONDS)
                ) is not None:
                    self._receive(reply)
                logger.warning("inbox pub/sub: silent for %s s", SILENCE_SECONDS)
            except AWAY as error:
                logger.warning("inbox pub/sub: %s", type(error).__name__)
            except Exception:
                logger.exception("inbox pub/sub failed")
            await self._drop()
            self.reconnects += 1
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(delay * 2, RETRY_SECONDS[1])

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*AWAY, OSError):
                await connection.disconnect(nowait=True)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            await self._send(b"PING")

    def _receive(self, reply: Any) -> None:
        match reply:
            case [b"message", bytes(name), bytes(data)]:
                if data.startswith(EVICT):
                    self._evict(name, data[len(EVICT) :])
                    return
                feeds = self._feeds.get(name)
                if feeds:
                    message = decode_message(data)
                    for feed in feeds:
                        feed.put(message)
            case [b"subscribe", bytes(name), _]:
                self._pending[name] -= 1
                # An older acknowledgement says nothing: an UNSUBSCRIBE is on its way behind it.
                if self._pending[name] <= 0:
                    del self._pending[name]
                    if name in self._feeds:
                        for feed in self._feeds[name]:
                            feed.fall_behind()
                        self._known.add(name)
                        for waiter in self._waiting.pop(name, ()):
                            if not waiter.done():
                                waiter.set_result(None)

    def _evict(self, name: bytes, seat: bytes) -> None:
        for feed in self._feeds.get(name, ()):
            if feed.seat == seat:
                feed.evict()
