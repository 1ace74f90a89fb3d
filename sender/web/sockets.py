"""`GET /ws`: who may open a socket, and how all of them end with the worker."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import WSMsgType, web

from sender.web import frames
from sender.web.feed import Feed
from sender.web.hub import Hub
from sender.web.incoming import Incoming
from sender.web.line import (
    CLOSE_SECONDS,
    GOING_AWAY,
    NO_TOKEN,
    TRY_LATER,
    UNAUTHORIZED,
    Line,
)
from sender.web.reads import Reads
from sender.web.session import EXPIRED, Session
from sender.web.site import SenderSite
from sender.web.watch import Watch
from streams.errors import InvalidRecord, NotAllowed, RedisUnavailable
from streams.tokens import Tokens
from streams.web.answers import problem
from streams.web.limiter import Limiter

# How long a client may take to say who it is (CONTRACT, "WebSocket").
FIRST_SECONDS: Final = 5.0
# Proxies cut idle connections after a minute; a peer that does not answer a ping is gone.
HEARTBEAT_SECONDS: Final = 30.0
# What a client says is a token or a list of ids; more closes the socket with 1009.
FRAME_LIMIT: Final = 4096
# What is written to a client that does not read it, before its socket waits: with asyncio's own
# buffer 80 kB. aiohttp says 256.
UNREAD_BYTES: Final = 1 << 14


class Sockets:
    """All sockets of this worker."""

    def __init__(
        self,
        site: SenderSite,
        tokens: Tokens,
        limiter: Limiter,
        hub: Hub,
        reads: Reads,
        watch: Watch,
    ) -> None:
        """Take what the handler needs."""
        self._watch = watch
        self._site = site
        self._tokens = tokens
        self._limiter = limiter
        self._hub = hub
        self._reads = reads
        self._open: set[Line] = set()
        self._stopping = False
        gauge = site.metrics.gauge("websockets", "Sockets that are open.")
        gauge.set_function(lambda: len(self._open))

    def mount(self, web_app: web.Application) -> None:
        """Serve it, and end all sockets in good order with the app."""
        web_app.router.add_get("/ws", self.open, allow_head=False)
        web_app.on_shutdown.append(self._stop)

    async def open(self, request: web.Request) -> web.StreamResponse:
        """Look at the origin, upgrade, look at the token, and serve the socket to its end."""
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._site.settings.allowed_origins:
            # A page of another site must not speak for its visitor (RFC 6455, 10.2).
            return problem(403, "this origin is not in CINEMA_ALLOWED_ORIGINS")
        if self._stopping:
            return problem(503, "stopping", headers={"Retry-After": "1"})
        socket = web.WebSocketResponse(
            # Deflate costs 130 kB a socket, the frames are small.
            compress=False,
            heartbeat=HEARTBEAT_SECONDS,
            # Else they are answered without being counted.
            autoping=False,
            writer_limit=UNREAD_BYTES,
            # aiohttp takes what is smaller than this.
            max_msg_size=FRAME_LIMIT + 1,
            timeout=CLOSE_SECONDS,
        )
        await socket.prepare(request)
        line = Line(socket, request.transport)
        line.task = asyncio.current_task()
        self._open.add(line)
        try:
            await line.run(self._serve(line, request))
        except ConnectionError:
            pass  # The client left in the middle of it.
        finally:
            self._open.discard(line)
            self._watch.forget(line)
        return socket

    async def _serve(self, line: Line, request: web.Request) -> None:
        socket = line.socket
        line.end_at(time.time() + FIRST_SECONDS, NO_TOKEN, "no token in 5 s")
        incoming = Incoming(line)
        message = await incoming.next()
        since = time.time()
        if message is None:
            return
        older = False
        try:
            if message.type is WSMsgType.BINARY:
                raise InvalidRecord("frames are text")
            first = frames.read_first(message.data)
            older = isinstance(first, str)
            claims = self._tokens.verify(first if isinstance(first, str) else first.token)
            await self._watch.admit(line, claims)
        except (InvalidRecord, NotAllowed) as error:
            text = frames.text_of(frames.Error("unauthorized", str(error)))
            await socket.send_str("Error" if older else text)
            line.end(UNAUTHORIZED, "bad token")
            return
        except RedisUnavailable:
            await self._later(line, older=older)
            return
        if await self._limiter.person(request, claims.user_id) is not None:
            await self._later(line, older=older)
            return
        line.end_at(claims.expires_at, UNAUTHORIZED, EXPIRED)
        feed = Feed(self._site.seats.name())
        session = Session(
            line,
            claims,
            tokens=self._tokens,
            watch=self._watch,
            inbox=self._site.inbox,
            reads=self._reads,
            feed=feed,
            incoming=incoming,
            older=older,
            last_id=0 if isinstance(first, str) else first.last_id or 0,
        )
        try:
            # In this order: a message is published only to those who listen.
            await self._hub.join(claims.user_id, feed)
            await self._site.seats.take(claims.user_id, feed.seat, since)
            if not line.over:
                await session.run()
        except RedisUnavailable:
            await self._later(line, older=older)
        finally:
            await self._hub.leave(claims.user_id, feed)
            if not feed.evicted:
                await self._site.seats.leave(claims.user_id, feed.seat)

    async def _later(self, line: Line, *, older: bool) -> None:
        if not older:
            text = frames.text_of(frames.Error("unavailable", "try again in a moment"))
            await line.socket.send_str(text)
        line.end(TRY_LATER, "try again in a moment")

    async def _stop(self, web_app: web.Application) -> None:
        self._stopping = True
        for line in self._open:
            line.end(GOING_AWAY, "stopping")
        if tasks := [line.task for line in self._open if line.task is not None]:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS + 1)
