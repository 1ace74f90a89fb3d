"""One socket after its token was found good: what it gets, what it says, when it ends."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

import msgspec
from aiohttp import WSMsgType

from sender.inbox import Added, Changed, Inbox, Kept, Message, Page
from sender.web import frames
from sender.web.feed import Feed
from sender.web.incoming import Incoming
from sender.web.line import FAILED, TOO_MANY, TRY_LATER, UNAUTHORIZED, Line
from sender.web.reads import Reads
from sender.web.watch import Watch
from streams.errors import InvalidRecord, NotAllowed, RedisUnavailable
from streams.tasks import end
from streams.tokens import Claims, Tokens

logger = logging.getLogger(__name__)

# Without Redis, half as much to once and a half: thousands of sockets do not ask at once.
RETRY_SECONDS: Final = 1.0
# An answer that cannot be written for so long: the client asks, and does not read.
ANSWER_SECONDS: Final = 10.0
EXPIRED: Final = "the token has expired"


class Session:
    """Keeps one socket up to date: exactly the entries after its cursor, each once, in order."""

    __slots__ = (
        "_cursor",
        "_feed",
        "_greeted",
        "_inbox",
        "_incoming",
        "_line",
        "_older",
        "_reads",
        "_replayed",
        "_shown",
        "_socket",
        "_tokens",
        "_told",
        "_unread",
        "_user",
        "_watch",
    )

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
        incoming: Incoming,
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
        self._incoming = incoming
        self._older = older
        self._cursor = last_id
        self._greeted = False
        #: Whether the client has had all there was: from then on whatever is missing is a gap.
        self._replayed = False
        #: The unread count, and what the client was told.
        self._unread = 0
        self._told: int | None = None
        #: What an older client was shown, and is not marked read yet.
        self._shown: list[int] = []

    async def run(self) -> None:
        """Serve the socket until either side ends it; the feed has joined the hub before."""
        pump = asyncio.create_task(self._pump())
        try:
            while (message := await self._incoming.next()) is not None:
                if self._older:
                    continue
                if message.type is WSMsgType.TEXT:
                    await self._receive(message.data)
                else:
                    await self._answer(frames.Error("bad_frame", "frames are text"))
        finally:
            await end(pump)

    # -- to the client

    async def _pump(self) -> None:
        try:
            while not self._feed.evicted:
                try:
                    await self._update()
                except RedisUnavailable:
                    if not self._greeted:
                        raise
                    await asyncio.sleep(RETRY_SECONDS * (0.5 + random.random()))
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

    async def _update(self) -> None:
        """Bring the client up to date with the feed."""
        read: list[int] = []
        while True:
            if self._feed.behind:
                self._feed.catch_up()
                await self._replay()
            message = self._feed.take()
            if message is None:
                break
            await self._show(message, read)
        if not self._older and (read or self._unread != self._told):
            self._told = self._unread
            await self._send(frames.Unread(self._unread, read))

    async def _show(self, message: Message, read: list[int]) -> None:
        match message:
            case Added(previous, unread, entry):
                self._unread = unread
                if entry.id <= self._cursor:
                    return
                if previous != self._cursor:
                    self._feed.fall_behind()
                else:
                    await self._give([Kept(entry, read=False)])
            case Changed():
                self._feed.fall_behind()
            case _:
                self._unread = message.unread
                read.extend(message.ids)

    async def _replay(self) -> None:
        """Give all entries after the cursor, a page at a time, and say what is no longer kept."""
        page = await self._inbox.page(self._user, self._cursor)
        await self._resume(page)
        while True:
            self._unread = page.state.unread
            dropped = page.state.dropped
            if self._cursor < dropped and (self._cursor or self._replayed):
                if not self._older:
                    await self._send(frames.Gap(self._cursor, dropped))
                self._cursor = dropped
                # What was dropped is not unread any more.
                self._told = None
            await self._give(page.entries)
            if not page.more:
                self._replayed = True
                return
            page = await self._inbox.page(self._user, self._cursor)

    async def _resume(self, page: Page) -> None:
        """Say where the inbox stands, and what is unread of all that the client has."""
        greeted, self._greeted = self._greeted, True
        if self._older or (greeted and not self._cursor):
            return
        ids = page.before if self._cursor else msgspec.UNSET
        self._told = page.state.unread
        if greeted:
            await self._send(frames.Unread(page.state.unread, [], ids))
        else:
            state = page.state
            await self._send(frames.Hello(self._user, state.unread, state.last, ids))

    async def _give(self, page: list[Kept]) -> None:
        for kept in page:
            if not self._older:
                await self._send(frames.notification(kept))
            elif not kept.read:
                await self._socket.send_str(kept.entry.body)
                self._shown.append(kept.entry.id)
            self._cursor = kept.entry.id
        await self._mark_shown()

    async def _mark_shown(self) -> None:
        """Mark read what an older client was shown; with Redis away it is done when it is back."""
        if self._shown:
            await self._reads.mark(self._user, self._shown)
            self._shown = []

    async def _send(self, frame: frames.Sent) -> None:
        await self._socket.send_str(frames.text_of(frame))

    # -- from the client

    async def _answer(self, frame: frames.Sent) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._send(frame)
        except TimeoutError:
            raise ConnectionError("the client does not read what it asks for") from None

    async def _receive(self, text: str) -> None:
        try:
            match frames.read_frame(text):
                case frames.Ping():
                    await self._answer(frames.Pong())
                case frames.Read(ids):
                    await self._reads.mark(self._user, ids)
                case frames.Token(token):
                    await self._renew(token)
        except InvalidRecord as error:
            await self._answer(frames.Error("bad_frame", str(error)))
        except RedisUnavailable:
            await self._answer(frames.Error("unavailable", "not done: try again in a moment"))

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
