"""The pages a person sees, and what their forms do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from sender.links import ConfirmLinks, LinkMaker
from streams.links import Tokens
from streams.settings import Settings
from streams.topics import CONFIRMATIONS, DECODERS, PREFERENCES, REGISTRATION
from tests.sender.web.conftest import KEY, NOW, Client, Neighbours, RedisServer, Start, welcome

HOME = "https://cinema.example/"


@pytest.fixture
def confirm_links(redis: Redis, settings: Settings) -> ConfirmLinks:
    return ConfirmLinks(redis, settings)


async def stored(links: ConfirmLinks, settings: Settings, redirect: str | None = None) -> str:
    """Store a link as the sender does before the mail goes, and return its path."""
    job = welcome(redirect=redirect)
    await links.store([job])
    return f"/confirm/{LinkMaker(settings).code(job)}"


# -- confirm


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_mail_scanners_look_confirms_nothing(
    client: Client,
    neighbours: Neighbours,
    confirm_links: ConfirmLinks,
    settings: Settings,
    method: str,
) -> None:
    path = await stored(confirm_links, settings)
    response = await client.request(method, path)
    assert response.status == 200
    assert neighbours.written == []


async def test_the_page_has_a_form_that_a_script_of_ours_sends(
    client: Client, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    response = await client.get(await stored(confirm_links, settings))
    text = await response.text()
    assert '<form id="confirm" method="post">' in text
    assert '<button type="submit">' in text
    assert '<script src="/static/confirm.js" defer></script>' in text
    assert "form.requestSubmit()" in await (await client.get("/static/confirm.js")).text()


async def test_a_post_publishes_the_confirmation_and_leads_on(
    client: Client, neighbours: Neighbours, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    target = "https://films.cinema.example/start?from=mail"
    path = await stored(confirm_links, settings, target)
    response = await client.post(path, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, target)
    (written,) = neighbours.written
    assert (written.topic, written.key) == (CONFIRMATIONS, "u")
    assert msgspec.json.decode(written.value or b"") == {
        "user_id": "u",
        "email": "ann@cinema.example",
        "at": "2026-11-22T12:00:00Z",
    }


@pytest.mark.parametrize(
    "redirect",
    [
        None,
        "https://evil.example/",
        "//evil.example",
        "javascript:alert(1)",
        "https://films.cinema.example@evil.example/",
        "https://films.cinema.example\\@evil.example/",
        "https://films.cinema.example/\r\nSet-Cookie: a=b",
    ],
)
async def test_a_redirect_to_a_host_that_is_not_allowed_leads_home(
    client: Client, confirm_links: ConfirmLinks, settings: Settings, redirect: str | None
) -> None:
    path = await stored(confirm_links, settings, redirect)
    response = await client.post(path, allow_redirects=False)
    assert response.headers["Location"] == HOME


async def test_a_host_that_has_left_the_list_is_not_led_to(
    start: Start, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    path = await stored(confirm_links, settings, "https://films.cinema.example/")
    client = await start(redirect_hosts=frozenset())
    response = await client.post(path, allow_redirects=False)
    assert response.headers["Location"] == HOME


async def test_the_forms_policy_allows_where_it_leads(
    client: Client, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    path = await stored(confirm_links, settings, "https://films.cinema.example/start")
    policy = (await client.get(path)).headers["Content-Security-Policy"]
    assert "form-action 'self' https://films.cinema.example;" in policy


async def test_where_it_is_set_a_get_confirms_and_a_head_does_not(
    start: Start, neighbours: Neighbours, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    client = await start(confirm_on_get=True)
    path = await stored(confirm_links, settings)
    await client.head(path, allow_redirects=False)
    assert neighbours.written == []
    response = await client.get(path, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, HOME)
    assert len(neighbours.written) == 1


@pytest.fixture
async def expired(confirm_links: ConfirmLinks, settings: Settings, neighbours: Neighbours) -> str:
    """The path of a link that was good until now."""
    path = await stored(confirm_links, settings, "https://films.cinema.example/start")
    neighbours.now = NOW + timedelta(days=settings.confirm_days)
    return path


async def test_an_expired_link_is_renewed_with_a_press_of_a_button(
    client: Client, neighbours: Neighbours, expired: str
) -> None:
    page = await (await client.get(expired)).text()
    assert '<input type="hidden" name="renew" value="1">' in page
    assert neighbours.written == []
    response = await client.post(expired, data={"renew": "1"})
    assert response.status == 200
    (written,) = neighbours.written
    assert (written.topic, written.key) == (REGISTRATION, "u")
    code = expired.rpartition("/")[2]
    assert msgspec.json.decode(written.value or b"") == {
        "event": "send_greeting",
        "event_id": f"renew {code}",
        "user_id": "u",
        "email": "ann@cinema.example",
        "redirect_url": "https://films.cinema.example/start",
        "renews": code,
    }
    assert DECODERS["registration"](written.value or b"").people == ("u",)


async def test_a_link_is_renewed_once_however_often_the_button_is_pressed(
    client: Client, neighbours: Neighbours, expired: str
) -> None:
    answers = [await client.post(expired, data={"renew": "1"}) for _ in range(3)]
    assert len(neighbours.written) == 1
    assert len({await answer.text() for answer in answers}) == 1


async def test_nobody_can_tell_by_renewing_whether_there_is_such_a_link(
    client: Client, neighbours: Neighbours, expired: str
) -> None:
    unknown = "/confirm/" + "0" * 32
    for data in (None, {"renew": "1"}):
        method = "POST" if data else "GET"
        one, other = [await client.request(method, path, data=data) for path in (expired, unknown)]
        assert one.status == other.status
        assert await one.text() == await other.text()
    assert len(neighbours.written) == 1


async def test_a_link_that_holds_is_not_renewed(
    client: Client, neighbours: Neighbours, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    path = await stored(confirm_links, settings)
    assert (await client.post(path, data={"renew": "1"})).status == 200
    assert neighbours.written == []


async def test_a_renewal_that_kafka_has_not_can_be_asked_for_again(
    client: Client, neighbours: Neighbours, expired: str
) -> None:
    neighbours.broker_is_away = True
    assert (await client.post(expired, data={"renew": "1"})).status == 503
    neighbours.broker_is_away = False
    assert (await client.post(expired, data={"renew": "1"})).status == 200
    assert len(neighbours.written) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("code", ["0" * 32, "short", "k:*"])
async def test_an_unknown_code_is_a_404_page(
    client: Client, neighbours: Neighbours, method: str, code: str
) -> None:
    response = await client.request(method, f"/confirm/{code}")
    assert response.status == 404
    assert response.content_type == "text/html"
    assert HOME in await response.text()
    assert neighbours.written == []


async def test_an_expired_code_is_a_404_page(
    client: Client, neighbours: Neighbours, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    path = await stored(confirm_links, settings)
    neighbours.now = NOW + timedelta(days=settings.confirm_days)
    assert (await client.get(path)).status == 404
    assert (await client.post(path)).status == 404
    assert neighbours.written == []


async def test_a_confirmation_that_kafka_has_not_is_not_confirmed(
    client: Client, neighbours: Neighbours, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    path = await stored(confirm_links, settings)
    neighbours.broker_is_away = True
    response = await client.post(path, allow_redirects=False)
    assert response.status == 503
    assert "Retry-After" in response.headers
    assert "Location" not in response.headers


async def test_visits_are_counted(
    client: Client, confirm_links: ConfirmLinks, settings: Settings
) -> None:
    path = await stored(confirm_links, settings)
    for _ in range(3):
        await client.get(path)
    await client.head(path)
    link = await confirm_links.find(path.rpartition("/")[2], NOW)
    assert link.visits == 3
    assert "cinema_confirm_visits_total 3.0" in await (await client.get("/metrics")).text()


# -- unsubscribe


@pytest.fixture
def leaving(settings: Settings) -> str:
    return "/unsubscribe/" + Tokens(settings.link_secret).sign("unsubscribe", ["u", "tip"])


async def test_the_unsubscribe_page_changes_nothing(
    client: Client, neighbours: Neighbours, leaving: str
) -> None:
    response = await client.get(leaving)
    assert response.status == 200
    assert "film tips" in await response.text()
    assert neighbours.written == []


async def test_one_click_unsubscribes_once_kafka_has_it(
    client: Client, neighbours: Neighbours, leaving: str
) -> None:
    """RFC 8058, section 3.2: the provider posts this field, without cookies and without a page."""
    response = await client.post(leaving, data={"List-Unsubscribe": "One-Click"})
    assert response.status == 200
    (written,) = neighbours.written
    assert (written.topic, written.key) == (PREFERENCES, "u")
    assert msgspec.json.decode(written.value or b"") == {"user_id": "u", "unsubscribe": ["tip"]}


async def test_one_click_may_come_as_multipart(
    client: Client, neighbours: Neighbours, leaving: str
) -> None:
    head = b'Content-Disposition: form-data; name="List-Unsubscribe"'
    body = b"\r\n".join((b"--x", head, b"", b"One-Click", b"--x--", b""))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await client.post(leaving, data=body, headers=headers)).status == 200
    assert len(neighbours.written) == 1


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"reason": "too_many"}, {"unsubscribe": ["tip"], "reason": "too_many"}),
        ({"reason": "<script>"}, {"unsubscribe": ["tip"]}),
        ({"undo": "1"}, {"resubscribe": ["tip"]}),
        ({}, {"unsubscribe": ["tip"]}),
    ],
)
async def test_what_the_form_says_becomes_a_preferences_event(
    client: Client, neighbours: Neighbours, leaving: str, fields: Any, event: Any
) -> None:
    assert (await client.post(leaving, data=fields)).status == 200
    assert msgspec.json.decode(neighbours.written[0].value or b"") == {"user_id": "u"} | event
    assert DECODERS["preferences"](neighbours.written[0].value or b"").people == ("u",)


async def test_who_has_left_is_asked_why_and_may_come_back(client: Client, leaving: str) -> None:
    left = await (await client.post(leaving)).text()
    assert '<select id="reason" name="reason" required>' in left
    assert '<input type="hidden" name="undo" value="1">' in left
    told = await (await client.post(leaving, data={"reason": "too_many"})).text()
    assert "Thank you for your answer." in told
    assert '<input type="hidden" name="undo" value="1">' in told
    counted = await (await client.get("/metrics")).text()
    for change, reason in (("leave", ""), ("reason", "too_many")):
        labels = f'change="{change}",kind="tip",reason="{reason}"'
        assert f"cinema_unsubscribes_total{{{labels}}} 1.0" in counted


async def test_without_the_brokers_acknowledgement_nobody_is_told_it_is_done(
    client: Client, neighbours: Neighbours, leaving: str
) -> None:
    neighbours.broker_is_away = True
    assert (await client.post(leaving)).status == 503


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_or_foreign_token_unsubscribes_nobody(
    client: Client, neighbours: Neighbours, settings: Settings, leaving: str, method: str
) -> None:
    tokens = Tokens(settings.link_secret)
    for token in (
        "x",
        leaving.rpartition("/")[2][:-2] + "xx",
        Tokens("another-link-secret").sign("unsubscribe", ["u", "tip"]),
        tokens.sign("preferences", ["u", "tip"]),
        tokens.sign("login", "read"),
        tokens.sign("unsubscribe", ["u", "no such kind"]),
    ):
        response = await client.request(method, f"/unsubscribe/{token}")
        assert response.status == 404
        assert response.content_type == "text/html"
    assert neighbours.written == []


# -- viewer, preview, and what both workers share


async def test_the_viewer_loads_nothing_but_our_own_files(client: Client) -> None:
    response = await client.get("/viewer")
    text = await response.text()
    assert response.status == 200
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert loaded
    for url in loaded:
        assert url.startswith("/static/")
        assert (await client.get(url)).status == 200
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize(
    ("accept", "language"), [("ru", "ru"), ("de, en;q=0.5", "en"), ("de", "en")]
)
async def test_a_page_is_in_the_visitors_language(
    client: Client, accept: str, language: str
) -> None:
    response = await client.get("/viewer", headers={"Accept-Language": accept})
    assert response.headers["Content-Language"] == language
    assert f'<html lang="{language}">' in await response.text()


def test_both_languages_say_the_same_things() -> None:
    from streams.web.pages import Pages

    pages = Pages("en")

    def keys(found: Any) -> Any:
        return {k: keys(v) for k, v in found.items()} if isinstance(found, dict) else None

    assert keys(pages.texts("ru")) == keys(pages.texts("en"))


async def test_a_preview_is_for_those_who_may_read(client: Client) -> None:
    path = "/preview/welcome/en"
    assert (await client.get(path)).status == 401
    may_only_post = {"Authorization": "Bearer key-that-may-only-post"}
    assert (await client.get(path, headers=may_only_post)).status == 403
    response = await client.get(path, headers={"Authorization": f"Bearer {KEY}"})
    assert response.status == 200


async def test_the_login_of_the_streams_worker_opens_the_preview(
    client: Client, settings: Settings
) -> None:
    session = Tokens(settings.link_secret).sign("session", "read")
    headers = {"Cookie": f"cinema_session={session}"}
    assert (await client.get("/preview/welcome/en", headers=headers)).status == 200


@pytest.mark.parametrize("path", ["/", "/login", "/topics/users", "/static/", "/static/x.css"])
async def test_nothing_else_is_served_by_the_sender(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert (await response.json())["error_code"] == 404


async def test_a_sender_says_whether_it_is_ready(client: Client, neighbours: Neighbours) -> None:
    assert (await client.get("/health/ready")).status == 200
    neighbours.waits.append("redis")
    assert (await client.get("/health/ready")).status == 503


async def test_with_redis_away_a_link_asks_for_patience(
    start: Start, redis_of_pages: RedisServer
) -> None:
    client = await start()
    redis_of_pages.stop()
    try:
        response = await client.get("/confirm/" + "0" * 32)
        assert response.status == 503
        assert response.content_type == "text/html"
    finally:
        redis_of_pages.start()
