from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from dev.samples import samples
from streams import topics


def test_there_is_one_valid_event_for_each_input_topic() -> None:
    events = samples(datetime.now(UTC))
    assert sorted(topic.name for topic, _, _ in events) == sorted(t.name for t in topics.INPUTS)
    for topic, _, value in events:
        topics.DECODERS[topic.name](msgspec.json.encode(value))


def test_each_event_is_keyed_by_whom_it_is_about() -> None:
    for topic, key, value in samples(datetime.now(UTC)):
        if topic.compacted:
            assert key == value[topic.key]
        elif "user_id" in value:
            assert key == value["user_id"]
