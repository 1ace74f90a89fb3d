"""Where a record lives."""

from __future__ import annotations

import pytest

from streams.partitions import partition_of


@pytest.mark.parametrize(
    ("key", "positive"),
    [
        # Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest), sign bit cleared.
        ("21", -973932308 & 0x7FFFFFFF),
        ("foobar", -790332482 & 0x7FFFFFFF),
        ("a-little-bit-long-string", -985981536 & 0x7FFFFFFF),
        ("a-little-bit-longer-string", -1486304829 & 0x7FFFFFFF),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 & 0x7FFFFFFF),
    ],
)
def test_a_key_lives_where_kafkas_own_clients_put_it(key: str, positive: int) -> None:
    assert partition_of(key, 0x7FFFFFFF) == positive % 0x7FFFFFFF
    assert partition_of(key, 8) == positive % 8


def test_a_key_beyond_ascii_is_its_utf8() -> None:
    assert partition_of("Анна", 1) == 0
    assert 0 <= partition_of("Анна", 8) < 8
