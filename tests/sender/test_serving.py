"""Redis away is one error, whatever it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from sender.inbox import Inbox
from sender.ledger import Ledger
from streams.delivery_log import DeliveryLog
from streams.errors import RedisUnavailable
from streams.serving import connect, digest
from tests.sender.conftest import job_of


async def test_every_store_says_that_redis_is_away(tmp_path: Path) -> None:
    redis = connect(f"unix://{tmp_path}/nothing")
    with pytest.raises(RedisUnavailable):
        await Inbox(redis).page("anna")
    with pytest.raises(RedisUnavailable):
        await DeliveryLog(redis).counts()
    ledger = Ledger(redis, "one", "1")
    with pytest.raises(RedisUnavailable):
        await ledger.claim([job_of()])
    assert ledger.in_hand == 0
    await redis.aclose()


def test_ids_in_keys_are_short_and_tell_nothing() -> None:
    assert len(digest("x" * 256)) == 12
    assert digest("anna") != digest("Anna")
