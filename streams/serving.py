"""Redis, the serving store: one way to connect, one way to call a script, one error when away.

Nothing in it is the only copy of a decision. Keys are built inside of the scripts from ids, so
this wants one Redis (with replicas as you like), not a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.resources import files
from struct import Struct
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)

from streams.errors import RedisUnavailable

# A script over a batch takes about a millisecond: one that is silent for so long is away.
TIMEOUT: Final = 5.0
# Beyond this many calls at once the callers wait (redis-py's plain pool raises instead).
CONNECTIONS: Final = 64
#: The key that says that Redis is full, by the name of the filling (sender/refilling.py).
FILLED: Final = "filled"
# What waiting mends: not there, still loading, a replica after a failover, out of memory.
AWAY: Final = (ConnectionError, TimeoutError, ReadOnlyError, MasterDownError, OutOfMemoryError)


class Torn(AbstractConnection):
    """A connection that says so when it is torn off between two steps of a command.

    redis-py passes on what the loop says of a write to a closed transport, which nothing above
    takes for Redis being away (redis-py #4287): uvloop a RuntimeError, asyncio of Python 3.12 a
    TypeError.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Write a command; redis-py's ConnectionError where the transport is closed."""
        writer = self._writer
        try:
            await super().send_packed_command(*args, **options)
        except (RuntimeError, TypeError) as error:
            if writer is None or not writer.is_closing():
                raise
            raise ConnectionError(f"connection closed: {error}") from error


def connect(url: str) -> Redis:
    """Return a client of the serving store; it connects when it is first used.

    A call whose connection was found dead is tried once more on a new one: every script of ours
    may run twice with the same result.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (Torn, kind), {})
    return Redis.from_pool(pool)


@contextmanager
def answering() -> Iterator[None]:
    """Raise RedisUnavailable for whatever means that Redis is away."""
    try:
        yield
    except AWAY as error:
        raise RedisUnavailable(f"Redis does not answer: {error}") from error


def digest(ident: str) -> bytes:
    """Return what stands for an id in a key: 12 bytes, however long the id, and unreadable."""
    # 96 bits: with a billion people the chance that two meet is 10^-11.
    return blake2b(ident.encode(), digest_size=12).digest()


_length: Final = Struct(">I").pack


def sized(data: bytes) -> bytes:
    """Return a field of a packed row: bytes behind their length, `I4c0` to `struct` in Lua."""
    return _length(len(data)) + data


class Script:
    """A Lua script beside its module, loaded when Redis does not know it yet."""

    def __init__(self, redis: Redis, package: str, name: str) -> None:
        """Read `lua/NAME.lua` of that package."""
        text = (files(package) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
        self._call = redis.register_script(text)

    async def __call__(self, *args: bytes | str | float) -> Any:
        """Run the script; RedisUnavailable where Redis is away."""
        with answering():
            return await self._call(args=args)

    async def over(self, head: Iterable[bytes | str | float], rows: Iterable[bytes]) -> Any:
        """Run the script over a batch of rows that `struct` has packed and is to unpack in Lua.

        They are one argument: each takes redis-py a microsecond, and a mail has two dozen fields.
        """
        return await self(*head, b"".join(rows))

    async def over_fields(
        self, head: Iterable[bytes | str | float], rows: Iterable[Iterable[Any]]
    ) -> Any:
        """Run the script over a batch: the head, then every row's fields one after the other."""
        args = [*head]
        for row in rows:
            args.extend(row)
        return await self(*args)
