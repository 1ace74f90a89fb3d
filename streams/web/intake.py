"""Events over HTTP, as Kafka's REST proxy takes them (its API v2, embedded format json)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from streams.errors import BrokerUnavailable
from streams.fields import ID_LENGTH
from streams.records import Output
from streams.topics import CLOCK, DECODERS, MIB, TOPICS, USERS, VALUE_LIMIT, Topic
from streams.web.answers import answer, later, problem
from streams.web.guard import Guard
from streams.web.site import Site

TAKES: Final = "application/vnd.kafka.json.v2+json"
ANSWERS: Final = "application/vnd.kafka.v2+json"
# Several of the largest records, or thousands of usual ones; the app's client_max_size.
BODY_LIMIT: Final = 8 * MIB
# Beyond it, acknowledging within 5 s is not to be promised.
RECORDS_LIMIT: Final = 10_000
#: The proxy's code for a record that no retry will get in.
NOT_RETRIABLE: Final = 1


class Record(msgspec.Struct):
    """One record of a request. The value's bytes are kept as the producer wrote them."""

    value: msgspec.Raw
    key: str | int | None = None
    partition: int | None = None


class Body(msgspec.Struct):
    """A request's body."""

    records: list[Record]


class Offset(msgspec.Struct):
    """What became of one record."""

    partition: int | None
    offset: int | None
    error_code: int | None = None
    error: str | None = None


_body: Final = msgspec.json.Decoder(Body)


class Refusal(Exception):
    """Why a request is answered without writing anything."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Intake:
    """`POST /topics/{topic}`."""

    def __init__(self, site: Site, guard: Guard) -> None:
        """Take what the handler needs."""
        self._site = site
        self._guard = guard
        self._taken = site.metrics.counter("intake_records", "Records written.", "topic")

    def mount(self, web_app: web.Application) -> None:
        """Serve it."""
        web_app.router.add_post("/topics/{topic}", self.post)

    async def post(self, request: web.Request) -> web.Response:
        """Write the records in their order and answer once the broker has acknowledged them."""
        if (refusal := self._guard.intake(request, request.match_info["topic"])) is not None:
            return refusal
        settings = self._site.settings
        try:
            topic = _topic(request.match_info["topic"], settings.clock)
            if request.content_type.lower() != TAKES:
                raise Refusal(415, 415, f"wants Content-Type: {TAKES}")
            records = parse(await request.read())
            offsets: list[Offset | None] = [
                misplaced(record, topic, settings.partitions) for record in records
            ]
            outputs = [
                output(topic, record, index)
                for index, record in enumerate(records)
                if offsets[index] is None
            ]
        except web.HTTPRequestEntityTooLarge:
            return problem(413, f"a body may have {BODY_LIMIT} bytes")
        except Refusal as error:
            return problem(error.status, error.message, error.code)
        # Profiles come again with the next record; what an erased person had does not.
        erases = topic is USERS and any(output.value is None for output in outputs)
        if erases and (refusal := self._guard.erasure(request)) is not None:
            return refusal
        try:
            written = iter(await self._site.produce(outputs) if outputs else ())
        except BrokerUnavailable as error:
            # Asked again with the same event_id, a record that was written counts once.
            return later(f"{error}; records may have been written: repeat them as they are", 50302)
        self._taken.labels(topic.name).inc(len(outputs))
        return answer(
            {"offsets": [offset or Offset(*next(written)) for offset in offsets]},
            content_type=ANSWERS,
        )


def _topic(name: str, clock: str) -> Topic:
    topic = TOPICS.get(name)
    if topic is None or not topic.intake or (topic is CLOCK and clock != "topic"):
        raise Refusal(404, 40401, "Topic not found.")
    return topic


def parse(body: bytes) -> list[Record]:
    """Read a request's body; raises Refusal with the status and code of what is wrong."""
    try:
        records = _body.decode(body).records
    except msgspec.ValidationError as error:
        # It fails at the first thing that does not fit, before the rest was looked at.
        if not _is_json(body):
            raise Refusal(400, 400, "the body is not JSON") from None
        raise Refusal(422, 42201, f"the body does not fit: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, 400, "the body is not JSON") from None
    if not records:
        raise Refusal(422, 42201, "the body does not fit: `records` is empty")
    if len(records) > RECORDS_LIMIT:
        raise Refusal(413, 413, f"a request may have {RECORDS_LIMIT} records")
    return records


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def misplaced(record: Record, topic: Topic, partitions: int) -> Offset | None:
    """Return the answer to a record whose given partition does not exist."""
    if record.partition is None or 0 <= record.partition < partitions:
        return None
    error = f"{topic.name} has no partition {record.partition}: it has 0 to {partitions - 1}"
    return Offset(None, None, NOT_RETRIABLE, error)


def output(topic: Topic, record: Record, index: int) -> Output:
    """Return the record to write; raises Refusal where it cannot be."""
    value = bytes(record.value)
    where = f"records[{index}]"
    if len(value) > VALUE_LIMIT:
        raise Refusal(413, 413, f"{where}: a value may have {VALUE_LIMIT} bytes")
    key = key_of(topic, value) if record.key is None else str(record.key)
    if key is not None and not 0 < len(key) <= ID_LENGTH:
        raise Refusal(422, 42201, f"{where}: a key has 1 to {ID_LENGTH} characters")
    if key is None and topic.compacted:
        # Kafka refuses it (KIP-135); with it, the whole batch.
        raise Refusal(422, 42201, f"{where}: names no `{topic.key}` to make the key of")
    return Output(topic, key, None if value == b"null" else value, record.partition)


def key_of(topic: Topic, value: bytes) -> str | None:
    """Return the id that the value names: the key a record was not given.

    On compacted topics its own field; elsewhere the one person it is about. A value that is
    wrong has none: it is a dead letter wherever it lies.
    """
    try:
        if topic.compacted:
            found: Any = msgspec.json.decode(value)[topic.key]
            return str(found) if isinstance(found, str | int) and found is not True else None
        people = DECODERS[topic.name](value).people
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return people[0] if people and len(people) == 1 else None
