"""Which tokens are good no more, and who hears of it."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from streams.errors import NotAllowed, RedisUnavailable
from streams.revocations import (
    ALL,
    BEGINNING,
    Revocations,
    of_person,
    of_token,
    record,
    said,
)
from streams.tokens import Claims

NOW = datetime.now(UTC)


@pytest.fixture
def revocations(redis: Redis) -> Revocations:
    return Revocations(redis)


def claims(user: str = "u", ago: float | None = 10, jti: str | None = None) -> Claims:
    """Return what a token says that was issued so many seconds ago."""
    return Claims(user, time.time() + 60, 0 if ago is None else NOW.timestamp() - ago, jti)


async def test_a_token_that_nobody_revoked_is_good(revocations: Revocations) -> None:
    await revocations.check(claims(jti="one"))


async def test_the_token_of_a_revoked_jti_is_good_no_more_and_no_other(
    revocations: Revocations,
) -> None:
    await revocations.fold([(of_token("one"), NOW)])
    with pytest.raises(NotAllowed, match="revoked"):
        await revocations.check(claims(jti="one", ago=-10))
    await revocations.check(claims(jti="two"))
    await revocations.check(claims("one"))


async def test_of_a_person_those_issued_until_then_are_good_no_more(
    revocations: Revocations,
) -> None:
    await revocations.fold([(of_person("u"), NOW)])
    asked = [
        claims(ago=10),
        claims(ago=0),
        claims(ago=None),
        claims(ago=-1),
        claims("v"),
        claims("v", jti="u"),
    ]
    assert await revocations.revoked(asked) == [True, True, True, False, False, False]


async def test_many_tokens_are_told_apart_in_one_question(revocations: Revocations) -> None:
    await revocations.fold([(of_token(f"t{n}"), NOW) for n in range(0, 1200, 3)])
    asked = [claims(f"u{n}", jti=f"t{n}" if n % 2 else None) for n in range(1200)]
    assert await revocations.revoked(asked) == [n % 2 == 1 and n % 3 == 0 for n in range(1200)]


async def test_a_revocation_is_kept_as_long_as_its_topic(
    revocations: Revocations, redis: Redis
) -> None:
    old = NOW - timedelta(days=401)
    await revocations.fold([(of_token("old"), old), (of_token("one"), NOW)])
    await revocations.check(claims(jti="old"))
    days = await redis.ttl(b"rv:" + of_token("one")) / 86_400
    assert 399.9 < days <= 400


async def test_while_redis_is_not_full_nobody_can_tell(
    revocations: Revocations, redis: Redis
) -> None:
    await redis.delete("filled")
    with pytest.raises(RedisUnavailable):
        await revocations.check(claims())


async def test_everyone_who_listens_hears_of_each_once(revocations: Revocations) -> None:
    await revocations.fold([(of_person("u"), NOW)])
    place, names = await revocations.heard(BEGINNING)
    assert names == [of_person("u")]
    await revocations.fold([(of_token("one"), NOW)], tell=False)
    await revocations.tell_all()
    place, names = await revocations.heard(place)
    assert names == [ALL]
    assert await revocations.heard(place) == (place, [])


def test_no_id_stands_in_the_record() -> None:
    written = record(of_person("ann@example.com"), NOW)
    assert "ann" not in f"{written.key}{written.value!r}"
    (found,) = said([_heard(written.key, written.value)])
    assert found == (of_person("ann@example.com"), NOW)


@pytest.mark.parametrize(
    ("key", "value"), [("zz", b"{}"), ("00", b"{}"), ("00", None), ("00", b"["), (None, b"")]
)
def test_a_record_that_cannot_be_read_is_passed_over_and_named(
    caplog: pytest.LogCaptureFixture, key: str | None, value: bytes | None
) -> None:
    caplog.set_level(logging.ERROR)
    good = record(of_token("one"), NOW)
    assert len([*said([_heard(key, value), _heard(good.key, good.value)])]) == 1
    assert "revocations/0/7" in caplog.text


def _heard(key: str | None, value: bytes | None) -> Any:
    raw = None if key is None else key.encode()
    return SimpleNamespace(topic="revocations", partition=0, offset=7, key=raw, value=value)
