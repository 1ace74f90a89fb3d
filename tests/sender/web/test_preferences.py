"""`/preferences/{token}`: what holds for a person now, and what becomes of a change."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.links import Tokens
from streams.settings import Settings
from streams.topics import DECODERS, PREFERENCES
from tests.sender.web.conftest import Client, Neighbours

EPISODES_BOTH = {"resubscribe": ["episode"], "channels": {"episode": ["email", "websocket"]}}
KNOWN: dict[str, Any] = {
    "user_id": "u",
    "locale": "ru",
    "timezone": "Europe/Berlin",
    "quiet_hours": {"from": "23:00", "to": "07:00"},
    "channels": {
        "activity": ["websocket"],
        "episode": ["email", "websocket"],
        "weekly_reminder": ["email"],
        "monthly_statistic": [],
        "tip": ["log"],
    },
    "unsubscribed": {"weekly_reminder": "too_many"},
    "pause_until": "2026-12-23T23:00:00+00:00",
    "taboo": False,
}
NOW_SHOWN = {
    "activity": "websocket",
    "episode": "both",
    "weekly_reminder": "none",
    "monthly_statistic": "none",
    "locale": "ru",
    "timezone": "Europe/Berlin",
    "quiet": "set",
    "from": "23:00",
    "to": "07:00",
    "pause": "set",
    "until": "2026-12-24",
}


@pytest.fixture
async def known(neighbours: Neighbours, preferring: str) -> AsyncIterator[dict[str, Any]]:
    """What a streams worker says of the person; it may be changed."""
    said = msgspec.json.decode(msgspec.json.encode(KNOWN))

    async def tell(request: web.Request) -> web.Response:
        return web.json_response(said)

    app = web.Application()
    app.router.add_get(preferring, tell)
    async with TestServer(app) as server:
        neighbours.streams.append(str(server.make_url("")))
        yield said


def fields(page: str) -> dict[str, str]:
    """Return a form as a browser would send it untouched."""
    found = dict(re.findall(r'<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page))
    for name, body in re.findall(r'<select[^>]* name="([^"]+)".*?>(.*?)</select>', page, re.S):
        options = re.findall(r'<option value="([^"]*)"( selected)?>', body)
        chosen = [value for value, selected in options if selected]
        found[name] = chosen[0] if chosen else options[0][0]
    return found


@pytest.mark.usefixtures("known")
async def test_the_page_shows_what_holds_now(client: Client, preferring: str) -> None:
    shown = fields(await (await client.get(preferring)).text())
    assert {name: shown[name] for name in NOW_SHOWN} == NOW_SHOWN
    # A channel that the page does not know stays what it is.
    assert shown["tip"] == ""


@pytest.mark.usefixtures("known")
async def test_a_form_that_shows_what_holds_says_nothing_when_it_is_sent_back(
    client: Client, neighbours: Neighbours, preferring: str
) -> None:
    shown = fields(await (await client.get(preferring)).text())
    response = await client.post(preferring, data=shown)
    assert "Nothing was changed" in await response.text()
    assert neighbours.written == []


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("changed", "event"),
    [
        ({"locale": "en"}, {"locale": "en"}),
        ({"episode": "none"}, {"unsubscribe": ["episode"]}),
        (
            {"weekly_reminder": "email"},
            {"resubscribe": ["weekly_reminder"], "channels": {"weekly_reminder": ["email"]}},
        ),
        ({"to": "06:30"}, {"quiet_hours": {"from": "23:00", "to": "06:30"}}),
        ({"quiet": "none"}, {"quiet_hours": None}),
        # A day begins where the person lives.
        ({"until": "2027-01-02"}, {"pause_until": "2027-01-02T00:00:00+01:00"}),
        ({"pause": "none"}, {"pause_until": None}),
        ({"timezone": ""}, None),
    ],
)
async def test_only_what_differs_from_what_was_shown_was_chosen(
    client: Client, neighbours: Neighbours, preferring: str, changed: Any, event: Any
) -> None:
    shown = fields(await (await client.get(preferring)).text())
    await client.post(preferring, data=shown | changed)
    said = [msgspec.json.decode(written.value or b"") for written in neighbours.written]
    assert said == ([{"user_id": "u"} | event] if event else [])


async def test_who_wanted_nothing_at_all_can_come_back(
    client: Client, neighbours: Neighbours, preferring: str, known: dict[str, Any]
) -> None:
    known["taboo"] = True
    shown = fields(await (await client.get(preferring)).text())
    assert shown["pause"] == "always"
    await client.post(preferring, data=shown | {"pause": "none"})
    assert msgspec.json.decode(neighbours.written[0].value or b"") == {
        "user_id": "u",
        "taboo": False,
        "pause_until": None,
    }


@pytest.mark.usefixtures("known")
async def test_after_saving_the_page_shows_what_was_saved_before_anyone_has_read_it(
    client: Client, neighbours: Neighbours, preferring: str
) -> None:
    shown = fields(await (await client.get(preferring)).text())
    page = await (await client.post(preferring, data=shown | {"locale": "en"})).text()
    saved = fields(page)
    assert (saved["locale"], saved["was.locale"]) == ("en", "en")
    await client.post(preferring, data=saved)
    assert len(neighbours.written) == 1


@pytest.mark.parametrize("away", ["nobody", "closed", "recovering"])
async def test_while_no_streams_worker_answers_the_page_says_so_and_works(
    client: Client,
    neighbours: Neighbours,
    preferring: str,
    known: dict[str, Any],
    unused_tcp_port: int,
    away: str,
) -> None:
    recovering = TestServer(web.Application())
    await recovering.start_server()
    neighbours.streams[:] = {
        "nobody": [],
        "closed": [f"http://127.0.0.1:{unused_tcp_port}"],
        "recovering": [str(recovering.make_url(""))],
    }[away]
    response = await client.get(preferring)
    await recovering.close()
    page = await response.text()
    assert response.status == 200
    assert "We cannot look up your settings just now." in page
    assert fields(page)["locale"] == ""
    await client.post(preferring, data=fields(page) | {"locale": "ru"})
    assert len(neighbours.written) == 1


async def test_a_page_does_not_wait_for_a_redis_that_hangs(
    client: Client, neighbours: Neighbours, preferring: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours.hangs = True
    monkeypatch.setattr("sender.web.upstream.WITHIN", 0.05)
    assert "We cannot look up your settings" in await (await client.get(preferring)).text()


@pytest.mark.usefixtures("known")
async def test_one_worker_that_is_gone_is_not_missed(
    client: Client, neighbours: Neighbours, preferring: str, unused_tcp_port: int
) -> None:
    neighbours.streams.append(f"http://127.0.0.1:{unused_tcp_port}")
    for _ in range(4):
        assert fields(await (await client.get(preferring)).text())["locale"] == "ru"


@pytest.fixture
def preferring(settings: Settings) -> str:
    return "/preferences/" + Tokens(settings.link_secret).sign("preferences", ["u"])


async def test_the_preferences_page_changes_nothing(
    client: Client, neighbours: Neighbours, preferring: str
) -> None:
    response = await client.get(preferring)
    text = await response.text()
    assert response.status == 200
    assert 'name="weekly_reminder"' in text
    assert 'name="welcome"' not in text
    assert neighbours.written == []


@pytest.mark.parametrize(
    ("chosen", "event"),
    [
        ({"tip": "none", "weekly_reminder": "none"}, {"unsubscribe": ["weekly_reminder", "tip"]}),
        ({"episode": "both"}, EPISODES_BOTH),
        ({"locale": "ru"}, {"locale": "ru"}),
        ({"timezone": " Asia/Kathmandu "}, {"timezone": "Asia/Kathmandu"}),
        ({"quiet": "none"}, {"quiet_hours": None}),
        (
            {"quiet": "set", "from": "22:00", "to": "07:30"},
            {"quiet_hours": {"from": "22:00", "to": "07:30"}},
        ),
        ({"pause": "none"}, {"pause_until": None}),
        ({"pause": "always"}, {"taboo": True}),
        (
            {"pause": "set", "until": "2027-07-01", "timezone": "Europe/Berlin"},
            {"pause_until": "2027-07-01T00:00:00+02:00", "timezone": "Europe/Berlin"},
        ),
    ],
)
async def test_what_is_chosen_becomes_an_event_and_nothing_else_does(
    client: Client, neighbours: Neighbours, preferring: str, chosen: Any, event: Any
) -> None:
    untouched = {"from": "22:00", "to": "08:00", "locale": "", "activity": ""}
    response = await client.post(preferring, data=untouched | chosen)
    assert response.status == 200
    (written,) = neighbours.written
    assert (written.topic, written.key) == (PREFERENCES, "u")
    assert msgspec.json.decode(written.value or b"") == {"user_id": "u"} | event
    assert DECODERS["preferences"](written.value or b"").people == ("u",)


@pytest.mark.parametrize(
    "chosen",
    [
        {"locale": "xx"},
        {"timezone": "Europe/Nowhere"},
        {"timezone": "../etc/passwd"},
        {"quiet": "set", "from": "25:00", "to": "08:00"},
        {"quiet": "set"},
        {"pause": "set", "until": "tomorrow"},
        {"pause": "set"},
        {"pause": "set", "until": "2026-11-22"},
        {"pause": "set", "until": "9999-12-31", "timezone": "America/Lima"},
        {"pause": "set", "until": "2027-07-01", "was.timezone": "Europe/Nowhere"},
        {"pause": "tomorrow"},
        {"tip": "pigeon"},
    ],
)
async def test_a_choice_that_cannot_be_used_is_422_and_says_which(
    client: Client, neighbours: Neighbours, preferring: str, chosen: dict[str, str]
) -> None:
    response = await client.post(preferring, data=chosen)
    assert response.status == 422
    assert 'role="alert"' in await response.text()
    assert neighbours.written == []


async def test_a_form_that_is_sent_untouched_changes_nothing(
    client: Client, neighbours: Neighbours, preferring: str
) -> None:
    response = await client.post(preferring, data={"from": "22:00", "welcome": "off"})
    assert response.status == 200
    assert "Nothing was changed" in await response.text()
    assert neighbours.written == []


async def test_what_a_person_typed_is_escaped(client: Client, preferring: str) -> None:
    response = await client.post(preferring, data={"timezone": '"><script>alert(1)</script>'})
    assert "<script>alert" not in await response.text()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_token_of_another_purpose_opens_no_preferences(
    client: Client, neighbours: Neighbours, settings: Settings, method: str
) -> None:
    for purpose in ("unsubscribe", "statistics", "login", "session"):
        token_ = Tokens(settings.link_secret).sign(purpose, ["u"])
        assert (await client.request(method, f"/preferences/{token_}")).status == 404
    assert neighbours.written == []


async def test_preferences_are_saved_when_kafka_has_them(
    client: Client, neighbours: Neighbours, preferring: str
) -> None:
    neighbours.broker_is_away = True
    assert (await client.post(preferring, data={"locale": "ru"})).status == 503
