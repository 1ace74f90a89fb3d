"""Confirmation codes, tokens by purpose, and where a confirmed person may be sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from sender.links import ConfirmLinks, LinkMaker, confirm_code, safe_redirect
from streams.errors import InvalidLink, RedisUnavailable
from streams.jobs import Job
from streams.links import LOGIN, MONTHS, PREFERENCES, UNSUBSCRIBE, Tokens
from streams.serving import FILLED
from streams.settings import Settings
from tests.sender.conftest import NOW, job_of


def welcome(**fields: object) -> Job:
    context = {"username": "Anna", "redirect": "https://app.cinema.example/start"}
    return job_of("welcome", kind="welcome", template="welcome", context=context, **fields)


@pytest.fixture
def links(redis: Redis, settings: Settings) -> ConfirmLinks:
    return ConfirmLinks(redis, settings)


def test_a_token_opens_only_what_it_was_made_for() -> None:
    tokens, others = Tokens("a secret"), Tokens("another secret")
    token = tokens.sign(UNSUBSCRIBE, ["anna", "tip"])
    year = timedelta(days=366)
    assert tokens.open(UNSUBSCRIBE, token, year) == ["anna", "tip"]
    for purpose, signer in ((PREFERENCES, tokens), (LOGIN, tokens), (UNSUBSCRIBE, others)):
        with pytest.raises(InvalidLink):
            signer.open(purpose, token, year)
    with pytest.raises(InvalidLink):
        tokens.open(UNSUBSCRIBE, token[:-2] + "xx", year)
    with pytest.raises(InvalidLink, match="expired"):
        tokens.open(UNSUBSCRIBE, token, timedelta(seconds=-1))


def test_a_mail_has_the_links_of_its_kind(settings: Settings) -> None:
    maker = LinkMaker(settings)
    confirming = maker.of(welcome())
    assert confirming.unsubscribe_url is confirming.preferences_url is None
    code = confirm_code(settings.link_secret, welcome().job_id)
    assert confirming.confirm_url == f"https://mail.cinema.example/confirm/{code}"
    assert len(bytes.fromhex(code)) * 8 == 128

    tip = maker.of(job_of("tip", kind="tip", template="tip"))
    assert tip.confirm_url is tip.statistics_url is None
    assert tip.unsubscribe_url is not None and tip.preferences_url is not None
    token = urlsplit(tip.unsubscribe_url).path.removeprefix("/unsubscribe/")
    assert maker.unsubscribing(token) == ("anna", "tip")
    token = urlsplit(tip.preferences_url).path.removeprefix("/preferences/")
    assert maker.preferring(token) == "anna"
    monthly = maker.of(job_of("m", kind="monthly_statistic", template="statistics"))
    # Where the streams workers are reached from outside, the page is theirs.
    assert monthly.statistics_url is None
    maker = LinkMaker(replace(settings, streams_url="https://cinema.example"))
    monthly = maker.of(job_of("m", kind="monthly_statistic", template="statistics"))
    assert monthly.statistics_url is not None
    path = urlsplit(monthly.statistics_url)
    token = path.path.removeprefix("/me/")
    assert Tokens(settings.link_secret).open(MONTHS, token, timedelta(days=1)) == ["anna"]
    assert path.query == "lang=en"


async def test_a_code_leads_to_what_its_job_said_and_visits_are_counted(
    links: ConfirmLinks, settings: Settings
) -> None:
    job = welcome()
    await links.store([job, job_of("letter")])
    code = confirm_code(settings.link_secret, job.job_id)
    link = await links.find(code, NOW, visit=True)
    assert (link.user_id, link.email) == ("anna", "anna@example.com")
    assert link.redirect == "https://app.cinema.example/start"
    assert link.expires_at == (NOW + timedelta(days=7)).astimezone(UTC)
    await links.store([job])
    assert (await links.find(code, NOW, visit=True)).visits == 2
    assert (await links.find(code, NOW)).visits == 2


async def test_a_code_that_is_unknown_expired_or_erased_opens_nothing(
    links: ConfirmLinks, settings: Settings, redis: Redis
) -> None:
    await redis.set(FILLED, "by the test")
    job = welcome()
    code = confirm_code(settings.link_secret, job.job_id)
    await links.store([job])
    for wrong, when in (
        ("0" * 32, NOW),
        ("../x", NOW),
        (code.upper(), NOW),
        (code, NOW + timedelta(days=7)),
    ):
        with pytest.raises(InvalidLink):
            await links.find(wrong, when)
    await links.erase("anna")
    with pytest.raises(InvalidLink):
        await links.find(code, NOW)
    assert await redis.keys("*") == [FILLED.encode()]


async def test_while_redis_is_empty_and_nobody_has_noticed_an_unknown_code_may_be_good(
    links: ConfirmLinks, settings: Settings
) -> None:
    with pytest.raises(RedisUnavailable):
        await links.find(confirm_code(settings.link_secret, welcome().job_id), NOW)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://cinema.example@evil.example/",
        "https://cinema.example\\@evil.example/",
        "https://cinema.example.evil.example/",
        "//evil.example/",
        "javascript:alert(1)//cinema.example",
        "https://cinema.example\r\nSet-Cookie: a=b",
        " https://cinema.example/",
        "https://[cinema.example/",
        "",
        None,
        7,
    ],
)
def test_a_redirect_to_any_other_host_leads_home(url: object, settings: Settings) -> None:
    assert safe_redirect(url, settings) == "https://cinema.example/"


def test_a_redirect_to_an_allowed_host_is_taken(settings: Settings) -> None:
    assert safe_redirect("https://APP.cinema.example:8443/a?b#c", settings).endswith("/a?b#c")
