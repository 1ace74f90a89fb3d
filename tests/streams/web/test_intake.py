"""`POST /topics/{topic}`, sentence by sentence of the contract."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse
from hypothesis import given
from hypothesis import strategies as st

from streams.fields import user_of
from streams.keys import entry_of, new_key
from streams.topics import INPUTS, OUTPUTS, VALUE_LIMIT
from streams.web import BODY_LIMIT
from streams.web.intake import RECORDS_LIMIT, Record, Refusal, key_of, output, parse
from tests.streams.web.conftest import KEY, Client, Neighbours, Start

JSON = "application/vnd.kafka.json.v2+json"
AUTH = {"Authorization": f"Bearer {KEY}"}
HEADERS = {"Content-Type": JSON, **AUTH}
TRIGGER = {"records": [{"value": {"event": "send_statistic"}}]}


async def post(client: Client, topic: str, body: Any, **headers: str) -> ClientResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(f"/topics/{topic}", data=data, headers=HEADERS | headers)


async def test_records_are_answered_with_their_offsets(
    client: Client, neighbours: Neighbours
) -> None:
    response = await post(client, "monthly_statistic", TRIGGER)
    assert response.status == 200
    assert response.content_type == "application/vnd.kafka.v2+json"
    assert await response.json() == {
        "offsets": [{"partition": 0, "offset": 0, "error_code": None, "error": None}]
    }
    assert neighbours.written[0].value == b'{"event": "send_statistic"}'
    assert neighbours.written[0].key is None


async def test_the_older_services_own_command_works_unchanged(start: Start) -> None:
    client = await start(intake_loopback=True)
    response = await client.post(
        "/topics/monthly_statistic",
        headers={"Content-Type": JSON},
        data='{"records": [{"value": {"event": "send_statistic"}}]}',
    )
    assert response.status == 200


async def test_the_order_of_records_is_kept(client: Client, neighbours: Neighbours) -> None:
    values = [{"user_id": "u", "body": str(number)} for number in range(50)]
    await post(client, "activity", {"records": [{"value": value} for value in values]})
    assert [msgspec.json.decode(one.value or b"") for one in neighbours.written] == values


async def test_the_values_bytes_are_kept_as_they_are(
    client: Client, neighbours: Neighbours
) -> None:
    value = b'{"user_id":"u",  "body":"\xd0\x9f", "extra": 1.50}'
    await post(client, "activity", b'{"records": [{"value": %s }]}' % value)
    assert neighbours.written[0].value == value


@pytest.mark.parametrize(
    ("topic", "value", "key"),
    [
        ("users", {"user_id": "u1", "email": "a@b.c"}, "u1"),
        ("users", {"user_id": 17, "email": "not an address"}, "17"),
        ("films", {"film_id": "f1", "title": "T"}, "f1"),
        ("campaigns", {"campaign_id": "c1", "kind": "tip", "cron": "0 9 * * *"}, "c1"),
        ("activity", {"user_id": 5, "body": "b"}, "5"),
        ("registration", {"event": "send_greeting"}, None),
        (
            "registration",
            {"event": "send_greeting", "email": "A@x.org", "username": "A"},
            user_of("a@x.org"),
        ),
        ("weekly_reminder", {"event": "send_reminder", "users": ["one"]}, "one"),
        ("weekly_reminder", {"event": "send_reminder", "users": ["one", "two"]}, None),
        ("letters", {"subject": "s", "text": "t", "to": "A@x.org"}, user_of("a@x.org")),
        ("letters", {"subject": "s", "text": "t", "to": ["a@x.org", "b@x.org"]}, None),
        ("episodes", {"series_id": "s", "serial_name": "S", "link": "l"}, None),
        ("activity", {"user_id": "u", "body": 3}, None),
        ("activity", ["no", "object"], None),
    ],
)
async def test_the_key_is_made_of_the_id_that_the_value_names(
    client: Client, neighbours: Neighbours, topic: str, value: Any, key: str | None
) -> None:
    assert (await post(client, topic, {"records": [{"value": value}]})).status == 200
    assert neighbours.written[0].key == key


async def test_a_given_key_and_partition_are_honoured(
    client: Client, neighbours: Neighbours
) -> None:
    record = {"key": 12, "value": {"user_id": "u", "body": "b"}, "partition": 7}
    response = await post(client, "activity", {"records": [record]})
    assert (await response.json())["offsets"][0]["partition"] == 7
    assert (neighbours.written[0].key, neighbours.written[0].partition) == ("12", 7)


async def test_a_partition_out_of_range_is_an_error_of_its_record_alone(
    client: Client, neighbours: Neighbours
) -> None:
    value = {"user_id": "u", "body": "b"}
    records = [{"value": value, "partition": p} for p in (8, 3, -1)]
    response = await post(client, "activity", {"records": records})
    first, second, third = (await response.json())["offsets"]
    assert response.status == 200
    assert (first["error_code"], third["error_code"]) == (1, 1)
    assert "has no partition 8" in first["error"]
    assert first["offset"] is None
    assert second == {"partition": 3, "offset": 0, "error_code": None, "error": None}
    assert len(neighbours.written) == 1


async def test_a_null_value_with_a_key_is_a_tombstone(
    client: Client, neighbours: Neighbours
) -> None:
    await post(client, "users", b'{"records": [{"key": "u", "value": null}]}')
    assert (neighbours.written[0].key, neighbours.written[0].value) == ("u", None)


@pytest.mark.parametrize("scopes", [["intake"], ["intake/users"], ["intake", "read"]])
async def test_who_may_post_may_not_erase_a_person(
    start: Start, neighbours: Neighbours, scopes: list[str]
) -> None:
    key = new_key()
    client = await start(api_keys=(entry_of(key, scopes),))
    records = [{"value": {"user_id": "v", "email": "v@x.org"}}, {"key": "u", "value": None}]
    response = await post(client, "users", {"records": records}, Authorization=f"Bearer {key}")
    assert response.status == 403
    assert "the scope admin" in (await response.json())["message"]
    assert neighbours.written == []


async def test_a_key_of_scope_admin_may_erase_where_it_may_post(
    start: Start, neighbours: Neighbours
) -> None:
    key = new_key()
    client = await start(api_keys=(entry_of(key, ["intake/users", "admin"]),))
    tombstone = {"records": [{"key": "u", "value": None}]}
    assert (await post(client, "users", tombstone, Authorization=f"Bearer {key}")).status == 200
    assert (neighbours.written[0].key, neighbours.written[0].value) == ("u", None)
    assert (await post(client, "films", tombstone, Authorization=f"Bearer {key}")).status == 403


async def test_a_key_of_scope_admin_alone_opens_nothing(start: Start) -> None:
    key = new_key()
    client = await start(api_keys=(entry_of(key, ["admin"]),))
    authorization = {"Authorization": f"Bearer {key}"}
    tombstone = {"records": [{"key": "u", "value": None}]}
    assert (await post(client, "users", tombstone, **authorization)).status == 403
    assert (await client.get("/campaigns", headers=authorization)).status == 403


async def test_films_and_campaigns_go_with_the_scope_intake(
    client: Client, neighbours: Neighbours
) -> None:
    tombstone = {"records": [{"key": "one", "value": None}]}
    for topic in ("films", "campaigns"):
        response = await post(
            client, topic, tombstone, Authorization="Bearer key-that-may-only-post"
        )
        assert response.status == 200
    assert [one.value for one in neighbours.written] == [None, None]


async def test_programs_on_this_machine_may_erase_where_the_intake_believes_them(
    start: Start,
) -> None:
    client = await start(intake_loopback=True)
    body = {"records": [{"key": "u", "value": None}]}
    response = await client.post("/topics/users", json=body, headers={"Content-Type": JSON})
    assert response.status == 200


@pytest.mark.parametrize("value", [None, {}, {"user_id": None}, {"user_id": True}, [], "text"])
async def test_a_compacted_topic_refuses_a_record_it_has_no_key_for(
    client: Client, neighbours: Neighbours, value: Any
) -> None:
    response = await post(client, "users", {"records": [{"value": value}]})
    assert response.status == 422
    assert (await response.json())["error_code"] == 42201
    assert neighbours.written == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}])
async def test_without_a_known_key_nobody_posts(
    client: Client, neighbours: Neighbours, headers: dict[str, str]
) -> None:
    response = await client.post(
        "/topics/activity", json=TRIGGER, headers={"Content-Type": JSON, **headers}
    )
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert neighbours.written == []


async def test_a_key_without_the_scope_intake_may_not_post(client: Client) -> None:
    response = await post(
        client, "activity", TRIGGER, Authorization="Bearer key-that-may-only-read"
    )
    assert response.status == 403


async def test_a_key_of_scope_intake_may_post(client: Client) -> None:
    response = await post(
        client, "monthly_statistic", TRIGGER, Authorization="Bearer key-that-may-only-post"
    )
    assert response.status == 200


async def test_a_key_of_one_topic_posts_there_and_nowhere_else(start: Start) -> None:
    key = new_key()
    client = await start(api_keys=(entry_of(key, ["intake/monthly_statistic"]),))
    authorization = f"Bearer {key}"
    posted = await post(client, "monthly_statistic", TRIGGER, Authorization=authorization)
    refused = await post(client, "activity", TRIGGER, Authorization=authorization)
    assert (posted.status, refused.status) == (200, 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Origin": "https://evil.example"},
        {"Authorization": "Bearer wrong"},
    ],
)
async def test_loopback_opens_to_programs_here_not_to_proxies_clients_or_pages(
    start: Start, headers: dict[str, str]
) -> None:
    client = await start(intake_loopback=True)
    response = await client.post(
        "/topics/monthly_statistic", json=TRIGGER, headers={"Content-Type": JSON, **headers}
    )
    assert response.status == 401


@pytest.mark.parametrize(
    "topic", ["nope", "clock", "__consumer_offsets"] + [t.name for t in OUTPUTS]
)
async def test_unknown_and_internal_topics_are_404_with_code_40401(
    client: Client, topic: str
) -> None:
    response = await post(client, topic, TRIGGER)
    assert response.status == 404
    assert (await response.json())["error_code"] == 40401


async def test_the_clock_is_open_where_time_is_a_topic(start: Start) -> None:
    client = await start(clock="topic")
    record = {"value": {"at": "2026-11-22T18:00:00+00:00"}, "partition": 3}
    assert (await post(client, "clock", {"records": [record]})).status == 200


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.kafka.avro.v2+json"])
async def test_another_content_type_is_415(client: Client, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert (await post(client, "activity", TRIGGER, **headers)).status == 415


async def test_a_content_type_with_a_charset_is_taken(client: Client) -> None:
    response = await post(
        client, "monthly_statistic", TRIGGER, **{"Content-Type": f"{JSON}; charset=utf-8"}
    )
    assert response.status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"records": [{"value": }]}', b"[" * 100_000]
)
async def test_a_body_that_is_not_json_is_400(client: Client, body: bytes) -> None:
    assert (await post(client, "activity", body)).status == 400


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"records": []},
        {"records": {}},
        {"records": [1]},
        {"records": [{"key": "k"}]},
        {"records": [{"value": {}, "key": ["k"]}]},
        {"records": [{"value": {}, "key": 1.5}]},
        {"records": [{"value": {}, "key": ""}]},
        {"records": [{"value": {}, "key": "k" * 257}]},
        {"records": [{"value": {}, "partition": "3"}]},
    ],
)
async def test_a_body_of_the_wrong_shape_is_422_with_code_42201(
    client: Client, neighbours: Neighbours, body: Any
) -> None:
    response = await post(client, "activity", body)
    assert (response.status, (await response.json())["error_code"]) == (422, 42201)
    assert neighbours.written == []


async def test_a_value_over_one_mebibyte_is_413_and_names_its_record(client: Client) -> None:
    small, large = {"value": {"body": "a"}}, {"value": {"body": "a" * VALUE_LIMIT}}
    response = await post(client, "activity", {"records": [small, large]})
    assert response.status == 413
    assert "records[1]" in (await response.json())["message"]


async def test_a_body_over_the_limit_is_413(client: Client) -> None:
    assert (await post(client, "activity", b" " * (BODY_LIMIT + 1))).status == 413


async def test_a_compressed_body_is_measured_unpacked(client: Client) -> None:
    body = gzip.compress(b" " * (BODY_LIMIT + 1))
    assert (await post(client, "activity", body, **{"Content-Encoding": "gzip"})).status == 413


async def test_more_records_than_can_be_acknowledged_in_time_are_413(client: Client) -> None:
    records = b",".join([b'{"value":1}'] * (RECORDS_LIMIT + 1))
    assert (await post(client, "activity", b'{"records":[%s]}' % records)).status == 413


async def test_a_broker_that_does_not_answer_is_503_with_retry_after(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.broker_is_away = True
    response = await post(client, "monthly_statistic", TRIGGER)
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "may have been written" in (await response.json())["message"]


async def test_what_is_written_is_counted(client: Client) -> None:
    await post(client, "monthly_statistic", TRIGGER)
    text = await (await client.get("/metrics")).text()
    assert 'cinema_intake_records_total{topic="monthly_statistic"} 1.0' in text


@given(st.binary(max_size=200))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    try:
        records = parse(body)
    except Refusal as error:
        assert error.status in (400, 422)  # noqa: PT017
    else:
        assert records


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(st.sampled_from(INPUTS), json_values)
def test_no_value_breaks_the_key(topic: Any, value: Any) -> None:
    key = key_of(topic, msgspec.json.encode(value))
    assert key is None or isinstance(key, str)


def test_the_value_of_an_output_is_a_copy_of_the_requests_bytes() -> None:
    body = bytearray(b'{"records": [{"value": {"event": "send_statistic"}}]}')
    record: Record = parse(bytes(body))[0]
    topic = next(topic for topic in INPUTS if topic.name == "monthly_statistic")
    assert output(topic, record, 0).value == b'{"event": "send_statistic"}'
