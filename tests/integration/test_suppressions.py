"""An address that was suppressed: why it gets nothing, and a command that lifts it."""

from __future__ import annotations

import pytest

from streams.jobs import address_hash
from tests.integration.cinema import Cinema
from tests.integration.commands import Commands

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

WHY = "550 5.1.1 no such user"


async def suppress(cinema: Cinema, address: str) -> str:
    """Suppress an address as the sender does; return its hash."""
    name = address_hash(address)
    await cinema.send("suppressions", {"reason": WHY, "at": cinema.now.isoformat()}, name)
    await cinema.settle()
    return name


async def letter(cinema: Cinema, address: str, subject: str) -> None:
    await cinema.send("letters", {"subject": subject, "text": "Hello", "to": address})
    await cinema.settle()


async def test_a_suppressed_address_is_listed_by_its_hash_and_lifted_by_address_or_hash(
    cinema: Cinema, commands: Commands
) -> None:
    for lifted_by_hash in (False, True):
        address = f"{cinema.name()}@example.com"
        name = await suppress(cinema, address)
        await letter(cinema, address, "Not sent")
        assert await cinema.mails(address) == []
        listed = await commands("sender", "suppressions", "list")
        (line,) = (line for line in listed.lines if line.startswith(name))
        assert WHY in line and f"{cinema.now:%Y-%m-%d}" in line and address not in listed.out
        ran = await commands(
            "sender", "suppressions", "lift", name if lifted_by_hash else address.upper()
        )
        assert (ran.status, ran.out) == (0, "1 lifted\n"), ran.errors
        await letter(cinema, address, "Sent")
        (mail,) = await cinema.mails(address)
        assert mail.subject == "Sent"
        after = await commands("sender", "suppressions", "list")
        assert name not in after.out


async def test_what_is_not_suppressed_cannot_be_lifted_and_is_named(
    cinema: Cinema, commands: Commands
) -> None:
    known = f"{cinema.name()}@example.com"
    name = await suppress(cinema, known)
    ran = await commands("sender", "suppressions", "lift", known, "nobody@example.com")
    assert ran.status == 2 and ran.errors.count("\n") == 1
    assert address_hash("nobody@example.com") in ran.errors and name not in ran.errors
    listed = await commands("sender", "suppressions", "list")
    assert name in listed.out
