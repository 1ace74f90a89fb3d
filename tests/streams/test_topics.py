"""The topics, held against the contract."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from streams import topics
from streams.topics import DECODERS, INPUTS, OUTPUTS, TOPICS

DAY_MS = 86_400_000


def test_the_topics_are_those_of_the_contract() -> None:
    assert {topic.name for topic in INPUTS} == {
        "users",
        "films",
        "registration",
        "watch_history",
        "bookmarks",
        "episodes",
        "weekly_reminder",
        "monthly_statistic",
        "activity",
        "letters",
        "campaigns",
        "preferences",
        "clock",
    }
    assert {topic.name for topic in OUTPUTS} == {
        "outbox",
        "outbox_urgent",
        "held",
        "deliveries",
        "inbox",
        "confirmations",
        "dead_letters",
        "suppressions",
        "revocations",
    }
    assert len(TOPICS) == len(INPUTS) + len(OUTPUTS)


def test_what_is_compacted_keeps_its_keys_for_ever_and_nothing_else_after_thirty_days() -> None:
    compacted = {name for name, topic in TOPICS.items() if topic.compacted}
    assert compacted == {"users", "films", "campaigns", "suppressions"}
    for name in compacted:
        assert TOPICS[name].config["cleanup.policy"] == "compact"
        assert "retention.ms" not in TOPICS[name].config
        assert TOPICS[name].config["max.compaction.lag.ms"] == str(30 * DAY_MS)


def test_everything_else_is_kept_for_thirty_days() -> None:
    odd = {"inbox": 400 * DAY_MS, "revocations": 400 * DAY_MS, "clock": DAY_MS // 24}
    for name, topic in TOPICS.items():
        if not topic.compacted:
            assert topic.config["cleanup.policy"] == "delete"
            assert topic.config["retention.ms"] == str(odd.get(name, 30 * DAY_MS))


def test_a_dead_letter_of_the_largest_value_fits_its_topic() -> None:
    assert all(topic.config["max.message.bytes"] == str(2 << 20) for topic in INPUTS)
    assert all(topic.config["max.message.bytes"] == str(4 << 20) for topic in OUTPUTS)
    assert topics.VALUE_LIMIT * 4 / 3 < topics.OUTPUT_LIMIT


def test_only_inputs_are_open_to_the_intake() -> None:
    assert {topic for topic in TOPICS.values() if topic.intake} == set(INPUTS)
    assert timedelta(days=30) == topics.RETENTION


def test_every_topic_an_agent_reads_has_a_decoder() -> None:
    assert set(DECODERS) == {topic.name for topic in INPUTS} | {"held", "confirmations"}
    for topic in INPUTS:
        assert issubclass(topic.value, msgspec.Struct)
