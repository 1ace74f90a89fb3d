"""Limits by mail domain: who waits, who is put off, and who notices nothing of it."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from sender.smtp import destinations as module
from sender.smtp.destinations import PUT_OFF, Destinations, PutOff
from streams.settings import DomainLimit

# Far enough that no test waits for it.
LATER = 60.0


def limited(*limits: str) -> Destinations:
    return Destinations([DomainLimit.from_text(limit) for limit in limits])


async def put_off(destinations: Destinations, domain: str, lane: str = "bulk") -> float:
    with pytest.raises(PutOff) as caught:
        async with destinations.turn(domain, lane, monotonic()):
            pass
    return caught.value.after


def test_a_domain_has_its_own_limit_or_that_of_all_others() -> None:
    some = limited("gmail.com=4/20")
    assert some.limit("gmail.com") == DomainLimit("gmail.com", 4, 20.0)
    assert some.limit("example.com") is None
    assert limited("*=8", "gmail.com=4").limit("example.com") == DomainLimit("*", 8, None)


async def test_no_more_mails_at_once_than_connections_and_each_domain_for_itself() -> None:
    destinations = limited("*=2")
    open_now: dict[str, int] = {"a.example": 0, "b.example": 0}
    most = dict(open_now)

    async def send(domain: str) -> None:
        async with destinations.turn(domain, "bulk", monotonic() + LATER):
            open_now[domain] += 1
            most[domain] = max(most[domain], open_now[domain])
            await asyncio.sleep(0.005)
            open_now[domain] -= 1

    await asyncio.gather(*(send(domain) for domain in open_now for _ in range(10)))
    assert most == {"a.example": 2, "b.example": 2}


async def test_mails_go_at_the_rate_and_not_in_bursts() -> None:
    destinations = limited("*=10/100")
    times: list[float] = []

    async def send() -> None:
        async with destinations.turn("a.example", "bulk", monotonic() + LATER):
            times.append(monotonic())

    await asyncio.gather(*(send() for _ in range(11)))
    # A timer is never early; late ones move closer to the next, never all of them.
    assert times[-1] - times[0] >= 0.099


async def test_what_would_wait_too_long_is_put_off_one_after_the_other() -> None:
    destinations = limited("*=10/2")
    async with destinations.turn("a.example", "bulk", monotonic()):
        pass
    afters = [await put_off(destinations, "a.example") for _ in range(3)]
    assert afters == pytest.approx([PUT_OFF, PUT_OFF + 0.5, PUT_OFF + 1.0], abs=0.2)
    assert await put_off(destinations, "a.example", "urgent") == pytest.approx(PUT_OFF, abs=0.2)


async def test_a_full_domain_puts_off_and_a_free_one_takes_a_mail_without_patience() -> None:
    destinations = limited("*=1")
    async with destinations.turn("a.example", "bulk", monotonic()):
        assert await put_off(destinations, "a.example") == pytest.approx(PUT_OFF, abs=0.2)
        async with destinations.turn("b.example", "bulk", monotonic() - 1):
            pass
    async with destinations.turn("a.example", "bulk", monotonic() - 1):
        pass


async def test_a_patient_mail_gets_the_turn_that_others_may_not_reserve() -> None:
    destinations = limited("*=10/20")
    soon = monotonic() + 0.02
    async with destinations.turn("a.example", "bulk", soon):
        pass
    with pytest.raises(PutOff):
        async with destinations.turn("a.example", "bulk", soon):
            pass
    async with asyncio.timeout(5), destinations.turn("a.example", "urgent", monotonic() + 1):
        pass


async def test_domains_are_forgotten_when_they_are_as_good_as_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    destinations = limited("*=1/1000")
    for number in range(500):
        async with destinations.turn(f"{number}.example", "bulk", monotonic() + LATER):
            if number % 50 == 0:
                await asyncio.sleep(0.01)
    assert len(destinations._known) < 100
