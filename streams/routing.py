"""Where a record belongs, whom it is about, and what it is called: before anything is decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord

from streams import topics
from streams.decisions import Agent
from streams.errors import InvalidRecord, Misplaced
from streams.fields import ID_LENGTH
from streams.jobs import Cause
from streams.partitions import partition_of
from streams.records import Output
from streams.topics import DECODERS, TOPICS, VALUE_LIMIT

ORIGIN: Final = "cinema-origin"
#: Beside `cinema-origin`: a dead letter's record again, which had not been sent on by then.
REPLAY: Final = "cinema-replay"
# murmur2 is a loop in Python, 2 us an id; those who are active now come again and again.
_home: Final = lru_cache(maxsize=1 << 16)(partition_of)
ORIGIN_FORM: Final = re.compile(rb"([a-z_]{1,64})/(\d{1,10})/(\d{1,19})")


@dataclass(slots=True)
class Routed:
    """A record that was read. Exactly one of `people`, `everyone`, `here` and `forward` speaks.

    `people` are those of this partition whom it names; `everyone` makes it a trigger for all users
    of this partition; `here` is about the partition itself; `forward` are the records it becomes.
    """

    event: Any
    key: str | None
    cause: Cause
    identity: str
    deduplicate: bool
    people: Sequence[str] = ()
    everyone: bool = False
    here: bool = False
    forward: list[Output] = field(default_factory=list)


def route(record: ConsumerRecord, agent: Agent, partitions: int) -> Routed:
    """Read a record and find where it belongs.

    Raises InvalidRecord (or msgspec's errors) for one that cannot be used.
    """
    origin = _origin(record)
    sent_on = origin is not None and not any(name == REPLAY for name, _ in record.headers)
    event = _decoded(record)
    key = _key(record)
    event_id = getattr(event, "event_id", None)
    if origin is None:
        cause = Cause(record.topic, record.partition, record.offset, event_id)
    else:
        cause = Cause(*origin, event_id)
    routed = Routed(
        event=event,
        key=key,
        cause=cause,
        identity=event_id or f"{cause.topic}/{cause.partition}/{cause.offset}",
        # Without a name of its own an event is told by its place, which `counts` looks after.
        deduplicate=event_id is not None or origin is not None,
    )
    if event is None:
        named = (_wanted(key),)
        people = named if agent.person else None if agent.topic is topics.CAMPAIGNS else ()
    else:
        people = event.people
    if people is None:
        if partitions > 1 and not sent_on:
            routed.forward = [_copy(record, cause, number) for number in range(partitions)]
        elif agent.partition:
            routed.here = True
        else:
            routed.everyone = True
    elif agent.partition:
        routed.here = True
    else:
        _place(routed, record, people, partitions, sent_on)
    return routed


def _place(
    routed: Routed, record: ConsumerRecord, people: Sequence[str], partitions: int, sent_on: bool
) -> None:
    if len(people) == 1 and _home(people[0], partitions) == record.partition:
        routed.people = people
        return
    homes = {person: _home(person, partitions) for person in people}
    if all(home == record.partition for home in homes.values()):
        routed.people = people
    elif sent_on:
        routed.people = [person for person in people if homes[person] == record.partition]
        if not routed.people:
            raise Misplaced(
                f"sent on to partition {record.partition} and nobody it names lives there: "
                f"they live in {sorted(set(homes.values()))}"
            )
    else:
        routed.forward = [
            _copy(record, routed.cause, number) for number in sorted(set(homes.values()))
        ]


def _copy(record: ConsumerRecord, cause: Cause, partition: int) -> Output:
    """Return the record as it goes to another partition, under its own name and time."""
    origin = f"{cause.topic}/{cause.partition}/{cause.offset}".encode()
    kept = [header for header in record.headers if header[0] not in (ORIGIN, REPLAY)]
    return Output(
        TOPICS[record.topic],
        _key(record),
        record.value,
        partition,
        (*kept, (ORIGIN, origin)),
        record.timestamp,
    )


def _decoded(record: ConsumerRecord) -> Any:
    value = record.value
    if value is None:
        if TOPICS[record.topic] in (topics.USERS, topics.FILMS, topics.CAMPAIGNS):
            return None
        raise InvalidRecord("the value is null: only compacted topics take tombstones")
    if len(value) > VALUE_LIMIT:
        raise InvalidRecord(f"the value has {len(value)} bytes: at most {VALUE_LIMIT} are taken")
    return DECODERS[record.topic](value)


def _key(record: ConsumerRecord) -> str | None:
    if record.key is None:
        return None
    try:
        return str(record.key.decode())
    except UnicodeDecodeError:
        raise InvalidRecord("the key is not UTF-8") from None


def _wanted(key: str | None) -> str:
    if not key or len(key) > ID_LENGTH:
        raise InvalidRecord("a tombstone names its subject by its key: it has none")
    return key


def _origin(record: ConsumerRecord) -> tuple[str, int, int] | None:
    if not record.headers:
        return None
    found = [value for name, value in record.headers if name == ORIGIN]
    if not found:
        return None
    match = ORIGIN_FORM.fullmatch(found[-1] or b"")
    if match is None:
        raise InvalidRecord(f"header {ORIGIN} is not topic/partition/offset")
    return match[1].decode(), int(match[2]), int(match[3])


INPUT_ERRORS: Final = (InvalidRecord, msgspec.DecodeError, UnicodeDecodeError)
