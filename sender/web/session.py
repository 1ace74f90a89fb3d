"""One socket after its token was found good: what it gets, what it says, when it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import WSMsgType

from sender.inbox import Added, Changed, Inbox, Kept, Message
from sender.web import frames
from sender.web.feed import Feed
from sender.web.line import FAILED, TOO_MANY, TRY_LATER, UNAUTHORIZED, Line
from sender.web.reads import Reads
from sender.web.watch import Watch
from streams.errors import InvalidRecord, NotAllowed, RedisUnavailable
from streams.tasks import end
from streams.tokens import Claims, Tokens

logger = logging.getLogger(__name__)

# Entries read from Redis at once during a replay: what one slow socket may hold in memory.
PAGE: Final = 100
RETRY_SECONDS: Final = 1.0
EXPIRED: Final = "the token has expired"


class Session:
    """Keeps one socket up to date: exactly the entries after its cursor, each once, in order."""

    def __init__(
        self,
        line: Line,
        claims: Claims,
        *,
        tokens: Tokens,
        watch: Watch,
        inbox: Inbox,
        reads: Reads,
        feed: Feed,
        older: bool,
        last_id: int,
    ) -> None:
        """Serve that socket; `older` is a client that only wants unread bodies."""
        self._line = line
        self._socket = line.socket
        self._user = claims.user_id
        self._tokens = tokens
        self._watch = watch
        self._inbox = inbox
        self._reads = reads
        self._feed = feed
        self._older = older
        self._cursor = last_id
        #: The unread count, which of the entries it includes, and what the client was told.
        self._unread = 0
        self._counted = 0
        self._told: int | None = None

    async def run(self) -> None:
        """Serve the socket until either side ends it; the feed has joined the hub before."""
        pump = asyncio.create_task(self._pump())
        try:
            async for message in self._socket:
                if self._older:
                    continue
                if message.type is WSMsgType.TEXT:
                    await self._receive(message.data)
                else:
                    await self._send(frames.Error("bad_frame", "frames are text"))
                if self._line.over:
                    return
        finally:
            await end(pump)

    # -- to the client

    async def _pump(self) -> None:
        try:
            await self._greet()
            while not self._feed.evicted:
                try:
                    await self._update()
                except RedisUnavailable:
                    await asyncio.sleep(RETRY_SECONDS)
                    self._feed.fall_behind()
                    continue
                await self._feed.wait()
            self._line.end(TOO_MANY, "more than 5 sockets: the oldest makes room")
        except RedisUnavailable:
            self._line.end(TRY_LATER, "the inbox cannot be read just now")
        except ConnectionError:
            pass  # Sending to a socket that is closing: its reader ends the session.
        except Exception:
            logger.exception("a socket of user %s failed", self._user)
            self._line.end(FAILED, "internal error")

    async def _greet(self) -> None:
        if self._older:
            return
        state = await self._inbox.state(self._user)
        self._unread, self._counted, self._told = state.unread, state.last, state.unread
        await self._send(frames.Hello(self._user, state.unread, state.last))

    async def _update(self) -> None:
        """Bring the client up to date with the feed."""
        read: list[int] = []
        while True:
            if self._feed.behind:
                self._feed.catch_up()
                await self._replay()
                await self._count()
            message = self._feed.take()
            if message is None:
                break
            await self._show(message, read)
        if not self._older and (read or self._unread != self._told):
            self._told = self._unread
            await self._send(frames.Unread(self._unread, read))

    async def _show(self, message: Message, read: list[int]) -> None:
        match message:
            case Added(previous, entry):
                if entry.id > self._counted:
                    self._unread += 1
                    self._counted = entry.id
                if entry.id <= self._cursor:
                    return
                if previous > self._cursor:
                    self._feed.fall_behind()
                else:
                    await self._give([Kept(entry, read=False)])
            case Changed():
                self._feed.fall_behind()
            case _:
                if not self._older:
                    read.extend(message.ids)
                    await self._count()

    async def _replay(self) -> None:
        """Give all entries after the cursor, a page at a time, and say what is no longer kept."""
        while True:
            page = await self._inbox.entries(self._user, self._cursor, PAGE)
            # Asked after the page: what was dropped between the two is a gap, not a silence.
            dropped = (await self._inbox.state(self._user)).dropped
            if 0 < self._cursor < dropped:
                end = min(dropped, page[0].entry.id - 1) if page else dropped
                if end > self._cursor and not self._older:
                    await self._send(frames.Gap(self._cursor, end))
                self._cursor = max(self._cursor, end)
            await self._give(page)
            if len(page) < PAGE:
                return

    async def _give(self, page: list[Kept]) -> None:
        bodies: list[int] = []
        for kept in page:
            if not self._older:
                await self._send(frames.notification(kept))
            elif not kept.read:
                await self._socket.send_str(kept.entry.body)
                bodies.append(kept.entry.id)
            self._cursor = kept.entry.id
        if bodies:
            await self._reads.mark(self._user, bodies)

    async def _count(self) -> None:
        """Ask how many are unread: entries up to `last` are part of the answer."""
        if not self._older:
            state = await self._inbox.state(self._user)
            self._unread, self._counted = state.unread, state.last

    async def _send(self, frame: frames.Sent) -> None:
        await self._socket.send_str(frames.text_of(frame))

    # -- from the client

    async def _receive(self, text: str) -> None:
        try:
            match frames.read_frame(text):
                case frames.Ping():
                    await self._send(frames.Pong())
                case frames.Read(ids):
                    await self._reads.mark(self._user, ids)
                case frames.Token(token):
                    await self._renew(token)
        except InvalidRecord as error:
            await self._send(frames.Error("bad_frame", str(error)))
        except RedisUnavailable:
            await self._send(frames.Error("unavailable", "not done: try again in a moment"))

    async def _renew(self, token: str) -> None:
        try:
            claims = self._tokens.verify(token)
            if claims.user_id != self._user:
                raise NotAllowed("the token is another person's")
            await self._watch.admit(self._line, claims)
        except NotAllowed as error:
            await self._send(frames.Error("unauthorized", str(error)))
            self._line.end(UNAUTHORIZED, "bad token")
            return
        self._line.end_at(claims.expires_at, UNAUTHORIZED, EXPIRED)
