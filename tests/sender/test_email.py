"""The email channel, from a job to what the mail server has: real templates, Redis and SMTP."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from time import monotonic

import pytest
from redis.asyncio import Redis

from sender.channels import Outcome
from sender.email import TURN, EmailChannel
from sender.lanes import Lane
from sender.ledger import Ledger
from sender.links import ConfirmLinks, LinkMaker, confirm_code
from sender.render import Renderer
from sender.smtp.destinations import Destinations
from sender.suppressions import Suppressions
from streams import kinds
from streams.jobs import Job, decode_delivery
from streams.settings import DomainLimit, Settings
from tests.sender.conftest import NOW, job_of, never
from tests.sender.smtpd import ScriptedServer, serving
from tests.sender.test_smtp import pool_of


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(Settings(mail_from="Cinema <noreply@cinema.example>"))


@asynccontextmanager
async def sending(
    redis: Redis, settings: Settings, renderer: Renderer, smtpd: ScriptedServer
) -> AsyncIterator[EmailChannel]:
    channel = EmailChannel(
        settings,
        renderer,
        LinkMaker(settings),
        ConfirmLinks(redis, settings),
        Suppressions(redis),
        pool_of(smtpd, size=4),
        Destinations(settings.domain_limits),
        kinds.BULK,
    )
    await channel.start()
    yield channel
    await channel.stop()


@pytest.fixture
async def smtpd() -> AsyncIterator[ScriptedServer]:
    async with serving(ScriptedServer()) as server:
        yield server


@pytest.fixture
async def channel(
    redis: Redis, settings: Settings, renderer: Renderer, smtpd: ScriptedServer
) -> AsyncIterator[EmailChannel]:
    async with sending(redis, settings, renderer, smtpd) as channel:
        yield channel


async def deliver(channel: EmailChannel, jobs: Iterable[Job]) -> dict[str, Outcome]:
    groups = [group async for group in channel.deliver(list(jobs), NOW, never)]
    return {job.job_id: outcome for group in groups for job, outcome in group}


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content.removesuffix(b".\r\n"), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def test_letters_arrive_each_at_its_person(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    jobs = [job_of(str(number), user_id=f"user{number}") for number in range(30)]
    outcomes = await deliver(channel, jobs)
    assert {outcome.status for outcome in outcomes.values()} == {"sent"} and len(outcomes) == 30
    assert smtpd.connections <= 4
    for _, recipient, content in smtpd.mails:
        message = parsed(content)
        assert f"RCPT TO:<{message['To']}>" == recipient
        assert message["Subject"] == "A letter"
        assert "Hello" in message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert len({recipient for _, recipient, _ in smtpd.mails}) == 30


async def test_a_welcome_brings_a_link_that_is_known_before_the_mail_goes(
    channel: EmailChannel, smtpd: ScriptedServer, settings: Settings
) -> None:
    context = {"username": "Anna", "redirect": "https://evil.example/"}
    job = job_of("hi", kind="welcome", template="welcome", context=context)
    smtpd.always["RCPT"] = b"451 later\r\n"
    await deliver(channel, [job])
    code = confirm_code(settings.link_secret, job.job_id)
    link = await channel.confirmations.find(code, NOW)
    assert (link.email, link.redirect) == ("anna@example.com", settings.cinema_url)
    del smtpd.always["RCPT"]
    await deliver(channel, [job])
    text = parsed(smtpd.mails[0][2]).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert f"https://mail.cinema.example/confirm/{code}" in text


async def test_a_mail_one_can_leave_says_how(channel: EmailChannel, smtpd: ScriptedServer) -> None:
    context = {
        "username": "Anna",
        "serial_name": "Series",
        "link": "https://cinema.example/s",
        "season": 1,
        "episode": 2,
        "link_out": None,
    }
    await deliver(channel, [job_of("e", kind="episode", template="bookmarks", context=context)])
    message = parsed(smtpd.mails[0][2])
    url = message["List-Unsubscribe"].strip("<>")
    token = url.removeprefix("https://mail.cinema.example/unsubscribe/")
    assert channel.links.unsubscribing(token) == ("anna", "episode")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    "fields",
    [
        {"to": "anna@example.com\r\nRCPT TO:<boris@example.com>"},
        {"to": "anna"},
        {"to": ""},
        {"to": "anna@exa mple.com"},
        {"template": "nothing"},
        {"template": "statistics", "context": {}},
    ],
)
async def test_a_job_that_cannot_be_sent_fails_alone_and_logs_no_address(
    channel: EmailChannel,
    smtpd: ScriptedServer,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, object],
) -> None:
    bad, good = job_of("bad", **fields), job_of("good", user_id="boris")
    with caplog.at_level(logging.DEBUG):
        outcomes = await deliver(channel, [bad, good])
    assert outcomes[bad.job_id].status == "failed" and outcomes[bad.job_id].reason
    assert outcomes[good.job_id].status == "sent" and len(smtpd.mails) == 1
    assert "@example.com" not in caplog.text


async def test_an_error_of_ours_costs_its_job_a_try_and_its_neighbours_nothing(
    channel: EmailChannel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = channel.links.of

    def broken(job: Job) -> object:
        if job.user_id == "anna":
            raise RuntimeError(job.to)
        return real(job)

    monkeypatch.setattr(channel.links, "of", broken)
    bad, good = job_of("bad"), job_of("good", user_id="boris")
    outcomes = await deliver(channel, [bad, good])
    assert outcomes[bad.job_id] == Outcome("retrying", "error: RuntimeError")
    assert outcomes[good.job_id].status == "sent"
    assert "RuntimeError" in caplog.text and "@example" not in caplog.text


async def test_an_address_that_is_not_there_is_written_to_once(
    channel: EmailChannel, smtpd: ScriptedServer, redis: Redis
) -> None:
    smtpd.script["RCPT"] = [b"550 5.1.1 unknown\r\n"]
    first, second = job_of("first"), job_of("second")
    outcome = (await deliver(channel, [first]))[first.job_id]
    assert outcome.status == "failed" and outcome.suppress
    lane = Lane(kinds.BULK, [channel], Ledger(redis, "one", "1"), (), channel.settings)
    (output,) = (await lane.handle([second], NOW, never)).outputs
    delivery = decode_delivery(output.value or b"")
    assert delivery.status == "skipped" and "5.1.1" in delivery.reason
    assert smtpd.commands.count("RCPT TO:<anna@example.com>") == 1


async def test_with_the_server_away_jobs_are_left_out_and_go_when_it_is_back(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    smtpd.always["connect"] = b"421 down\r\n"
    jobs = [job_of(str(number)) for number in range(10)]
    assert await deliver(channel, jobs) == {}
    assert channel.paused_by is not None and "421 down" in channel.paused_by
    del smtpd.always["connect"]
    await asyncio.wait_for(channel.ready(), 3)
    sent = await deliver(channel, jobs)
    while len(sent) < 10:
        await asyncio.wait_for(channel.ready(), 3)
        sent |= await deliver(channel, [job for job in jobs if job.job_id not in sent])
    assert len(smtpd.mails) == 10


async def test_no_more_mails_than_the_bound_are_ever_sent_and_not_written_down(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    # What would be maybe sent if the process were killed: data begun, outcome not yet noted. Over
    # batches at once, with a server that is slow and a ledger that is slower.
    smtpd.delays["end of data"] = 0.01
    noted = most = 0

    async def batch(name: str) -> int:
        nonlocal noted, most
        jobs = [job_of(f"{name}{number}") for number in range(20)]
        async for group in channel.deliver(jobs, NOW, never):
            await asyncio.sleep(0.02)
            most = max(most, smtpd.commands.count("DATA") - noted)
            noted += len(group)
        return len(jobs)

    assert await asyncio.gather(*(batch(name) for name in "abc")) == [20] * 3
    assert noted == 60 and 1 < most <= channel.pool.size


async def test_a_batch_that_is_broken_off_leaves_its_slots_to_others(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    for number in range(3 * channel.pool.size):
        jobs = [job_of(f"{number}-{index}") for index in range(6)]
        async with aclosing(channel.deliver(jobs, NOW, never)) as groups:  # type: ignore[type-var]
            await anext(groups)
    rest = [job_of(str(number)) for number in range(6)]
    assert len(await asyncio.wait_for(deliver(channel, rest), 5)) == 6


async def test_a_halted_batch_ends_with_the_mails_under_way(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    smtpd.delays["end of data"] = 0.05
    jobs = [job_of(str(number)) for number in range(40)]

    def begun() -> bool:
        return len(smtpd.commands) > 8

    found = [pair async for group in channel.deliver(jobs, NOW, begun) for pair in group]
    assert 0 < len(found) < 40
    assert len(smtpd.mails) == len(found), "each that was begun has its answer"


async def test_a_domain_at_its_limit_is_put_off_and_holds_up_no_other(
    channel: EmailChannel, smtpd: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its second mail waits for a second, which the others do not take together.
    monkeypatch.setitem(TURN, kinds.BULK, 1.2)
    channel.destinations = Destinations([DomainLimit("slow.example", 2, 1.0)])
    slow = [job_of(f"s{number}", to=f"u{number}@Slow.example") for number in range(30)]
    quick = [job_of(f"q{number}", to=f"u{number}@quick.example") for number in range(30)]
    began = monotonic()
    first: dict[str, float] = {}
    outcomes: dict[str, Outcome] = {}
    async for group in channel.deliver([*slow, *quick], NOW, never):
        for job, outcome in group:
            first[job.job_id] = monotonic() - began
            outcomes[job.job_id] = outcome
    assert {outcomes[job.job_id].status for job in quick} == {"sent"}
    put_off = [outcomes[job.job_id] for job in slow if outcomes[job.job_id].status == "deferred"]
    assert len(put_off) == 28 and len(outcomes) == 60
    assert all(outcome.after and "slow" not in outcome.reason.lower() for outcome in put_off)
    sent = [line for line in smtpd.commands if "Slow.example" in line]
    assert len(sent) == 30 - len(put_off)
    # None of the others was behind one that waited for its turn.
    assert max(first[job.job_id] for job in quick) < max(first.values())


async def test_slots_are_all_free_again_after_mails_were_put_off(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    channel.destinations = Destinations([DomainLimit("example.com", 1, 0.01)])
    jobs = [job_of(str(number)) for number in range(20)]
    outcomes = await deliver(channel, jobs)
    assert Counter(one.status for one in outcomes.values()) == {"sent": 1, "deferred": 19}
    assert channel._slots._value == channel.pool.size


async def test_outcomes_come_as_soon_as_they_are_known(
    channel: EmailChannel, smtpd: ScriptedServer
) -> None:
    channel.pool = pool_of(smtpd, size=2)
    smtpd.delays["end of data"] = 0.05
    groups = [
        len(group)
        async for group in channel.deliver([job_of(str(number)) for number in range(8)], NOW, never)
    ]
    assert sum(groups) == 8 and len(groups) >= 4
