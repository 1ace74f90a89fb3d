"""`/login` and `/campaigns`: an operator's way in."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from yarl import URL

from streams.links import Tokens
from streams.settings import Settings
from streams.web import login_link
from streams.web.guard import COOKIE, PURPOSE
from tests.streams.web.conftest import KEY, Client, Neighbours, Start

CAMPAIGN = {
    "campaign_id": "weekly_reminder",
    "kind": "weekly_reminder",
    "cron": "0 18 * * 5",
    "enabled": True,
    "audience_now": 300,
    "next": {"Europe/Berlin": "2026-11-27T17:00:00Z"},
}
#: What workers tell each other beside it.
FORM = {"at": None, "local_at": None, "audience": "all"}
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Authorization": f"Bearer {KEY}"}


@pytest.fixture(autouse=True)
def _known(neighbours: Neighbours) -> None:
    neighbours.campaigns.append(CAMPAIGN | FORM)


async def test_campaigns_are_listed_for_a_key_of_scope_read(client: Client) -> None:
    headers = {"Authorization": "Bearer key-that-may-only-read"}
    response = await client.get("/campaigns", headers=headers)
    assert await response.json() == [CAMPAIGN]


async def test_campaigns_are_closed_without_key_or_cookie(client: Client) -> None:
    assert (await client.get("/campaigns")).status == 401
    headers = {"Authorization": "Bearer key-that-may-only-post"}
    assert (await client.get("/campaigns", headers=headers)).status == 403


async def test_a_login_sets_a_cookie_that_stands_for_the_key_for_an_hour(client: Client) -> None:
    response = await client.post("/login", data={"key": KEY}, allow_redirects=False)
    assert response.status == 303
    cookie = SimpleCookie(response.headers["Set-Cookie"])[COOKIE]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["max-age"]) == ("Strict", "3600")
    assert KEY not in cookie.value
    assert (await client.get("/campaigns")).status == 200


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("/campaigns", "/campaigns"),
        ("/status", "/status"),
        ("", "/status"),
        ("https://evil.example/", "/status"),
        ("//evil.example", "/status"),
        ("/campaigns\r\nSet-Cookie: a=b", "/status"),
    ],
)
async def test_a_login_leads_to_the_page_that_was_asked_for_and_never_out(
    client: Client, asked: str, leads: str
) -> None:
    fields = {"key": KEY, "to": asked}
    response = await client.post("/login", data=fields, allow_redirects=False)
    assert response.headers["Location"] == leads


async def test_the_door_remembers_what_was_asked_for(client: Client) -> None:
    door = await (await client.get("/campaigns", headers={"Accept": "text/html"})).text()
    assert '<input type="hidden" name="to" value="/campaigns">' in door
    fields = {"key": "wrong", "to": "/campaigns"}
    again = await (await client.post("/login", data=fields)).text()
    assert '<input type="hidden" name="to" value="/campaigns">' in again


async def test_the_cookie_is_secure_where_the_service_is(start: Start) -> None:
    client = await start(public_url="https://mail.cinema.example")
    response = await client.post("/login", data={"key": KEY}, allow_redirects=False)
    assert SimpleCookie(response.headers["Set-Cookie"])[COOKIE]["secure"]


@pytest.mark.parametrize(
    "fields", [{"key": "wrong"}, {"key": "key-that-may-only-post"}, {}, {"link": "wrong"}]
)
async def test_a_wrong_key_or_link_opens_nothing(client: Client, fields: dict[str, str]) -> None:
    response = await client.post("/login", data=fields, allow_redirects=False)
    assert response.status == 401
    assert "Set-Cookie" not in response.headers


async def test_a_login_link_logs_in_with_one_press(client: Client, settings: Settings) -> None:
    link = URL(login_link(settings))
    assert link.path == "/login"
    page = await client.get(link.path_qs)
    token = re.search(r'name="link" value="([^"]+)"', await page.text())
    assert token is not None
    assert "Set-Cookie" not in page.headers
    response = await client.post("/login", data={"link": token[1]}, allow_redirects=False)
    assert response.status == 303
    assert (await client.get("/campaigns")).status == 200


async def test_a_login_link_is_dead_after_an_hour(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = URL(login_link(settings))
    monkeypatch.setattr("streams.web.guard.SESSION", timedelta(seconds=-1))
    response = await client.post("/login", data={"link": link.query["link"]}, allow_redirects=False)
    assert response.status == 401


async def test_a_token_made_for_another_purpose_is_no_cookie_and_no_login(
    client: Client, settings: Settings
) -> None:
    tokens = Tokens(settings.link_secret)
    for purpose in ("unsubscribe", "preferences", "login", "session"):
        token = tokens.sign(purpose, "read")
        posted = await client.post("/login", data={"link": token}, allow_redirects=False)
        assert posted.status == (303 if purpose == "login" else 401)
        client.session.cookie_jar.clear()
        got = await client.get("/campaigns", headers={"Cookie": f"{COOKIE}={token}"})
        assert got.status == (200 if purpose == PURPOSE else 401)


async def test_a_cookie_signed_with_another_secret_is_none(
    client: Client, settings: Settings
) -> None:
    other = replace(settings, link_secret="some-other-secret")
    token = Tokens(other.link_secret).sign(PURPOSE, "read")
    response = await client.get("/campaigns", headers={"Cookie": f"{COOKIE}={token}"})
    assert response.status == 401


async def test_the_login_page_speaks_the_visitors_language(client: Client) -> None:
    page = await client.get("/login", headers={"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"})
    assert page.headers["Content-Language"] == "ru"
    assert '<html lang="ru">' in await page.text()


async def test_a_form_larger_than_ours_is_413(client: Client) -> None:
    response = await client.post("/login", data={"key": "k" * 70_000})
    assert response.status == 413


async def test_the_status_page_is_closed_and_shows_a_browser_the_way_in(client: Client) -> None:
    assert (await client.get("/status")).content_type == "application/json"
    response = await client.get("/status", headers={"Accept": "text/html,*/*"})
    assert response.status == 401
    text = await response.text()
    assert 'action="/login"' in text
    assert "weekly_reminder" not in text


async def test_campaigns_are_added_up_over_all_workers(start: Start) -> None:
    there = Neighbours(
        campaigns=[
            CAMPAIGN | FORM | {"audience_now": 3, "next": {"Asia/Tokyo": "2026-11-27T09:00:00Z"}},
            CAMPAIGN | FORM | {"campaign_id": "new", "at": "2026-12-24T18:00:00Z"},
        ]
    )
    other = await start(there)
    here = Neighbours(
        campaigns=[
            CAMPAIGN | FORM | {"audience_now": 2, "next": {"Europe/Rome": "2026-11-27T17:00:00Z"}}
        ],
        peers=[str(other.make_url("/")), "http://127.0.0.1:1"],
    )
    client = await start(here)
    response = await client.get("/campaigns", headers={"Authorization": f"Bearer {KEY}"})
    new, both = await response.json()
    assert both["audience_now"] == 5
    assert sorted(both["next"]) == ["Asia/Tokyo", "Europe/Rome"]
    assert new["campaign_id"] == "new"
    # What only another worker has heard of is whole on the page, too.
    page = await (await client.get("/campaigns", headers=PAGE)).text()
    assert "2026-12-24T18:00:00Z" in page


async def test_a_browser_gets_the_campaigns_as_a_page(
    client: Client, neighbours: Neighbours
) -> None:
    neighbours.campaigns[0] |= {
        "next": {"America/New_York": "2026-11-27T23:00:00Z", "Asia/Tokyo": "2026-11-27T09:00:00Z"}
    }
    asks = {
        "locale": "ru",
        "timezones": ["Asia/Tokyo", "Asia/Omsk"],
        "watched": {"genre": "drama", "series_id": None, "days": 30},
        "idle_days": 14,
        "users": 100_000,
    }
    neighbours.campaigns += [
        CAMPAIGN
        | FORM
        | {"campaign_id": "<b>off</b>", "enabled": False, "next": {}, "audience": asks},
        CAMPAIGN
        | FORM
        | {"campaign_id": "once", "cron": None, "local_at": "2026-12-31T23:30:00", "next": {}},
    ]
    response = await client.get("/campaigns", headers=PAGE)
    assert (response.status, response.content_type) == (200, "text/html")
    text = " ".join(re.sub(r"<[^>]*>", " ", await response.text()).split())
    for shown in (
        "weekly_reminder Kind weekly_reminder Cron, in each recipient’s zone 0 18 * * 5",
        "Audience everyone Would reach now 300 Next 2026-11-27 09:00 UTC zones: 2",
        "Asia/ Tokyo 2026-11-27 18:00 +09:00 2026-11-27 09:00 "
        "America/ New_York 2026-11-27 18:00 -05:00 2026-11-27 23:00",
        "&lt;b&gt;off&lt;/b&gt; switched off",
        "language: ru zones: Asia/Tokyo, Asia/Omsk watched: genre drama, days back: 30 "
        "days without watching: 14 ids named: 100000",
        "Once, at this local time of each recipient 2026-12-31T23:30:00",
        "Would reach now 300 Nothing more is due, or nobody is there yet.",
    ):
        assert shown in text


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "text/*"])
async def test_who_does_not_ask_for_a_page_gets_what_the_contract_says(
    client: Client, accept: str
) -> None:
    response = await client.get("/campaigns", headers=PAGE | {"Accept": accept})
    assert response.content_type == "application/json"
    assert await response.json() == [CAMPAIGN]


async def test_the_campaigns_page_is_closed_and_shows_a_browser_the_way_in(client: Client) -> None:
    response = await client.get("/campaigns", headers={"Accept": PAGE["Accept"]})
    assert response.status == 401
    text = await response.text()
    assert 'action="/login"' in text
    assert "weekly_reminder" not in text
    headers = PAGE | {"Authorization": "Bearer key-that-may-only-post"}
    assert (await client.get("/campaigns", headers=headers)).status == 403


@pytest.mark.parametrize(("page", "other"), [("status", "campaigns"), ("campaigns", "status")])
async def test_status_and_campaigns_lead_to_each_other(
    client: Client, page: str, other: str
) -> None:
    text = await (await client.get(f"/{page}", headers=PAGE)).text()
    assert f'<a href="/{page}" aria-current="page">' in text
    assert f'<a href="/{other}">' in text
