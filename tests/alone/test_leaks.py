"""A whole story, after which the workers' logs hold nothing of anybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
import pytest_asyncio

from streams.links import LOGIN, Tokens
from tests.conftest import Up, eventually
from tests.integration.cinema import Cinema, Sent
from tests.sender.smtpd import DROP, ScriptedServer, serving

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

ADDRESS = "ann.secret@leaks.example"
GONE = "bob.secret@leaks.example"
NAME = "Annabella Whisper"
BODY = "a body that nobody else may read"
SUBJECT = "a subject for her alone"
REASON = "she says why she leaves"
TITLE = "The Film She Watched"
ZONE = "Nowhere/Her-Own-Zone"
CONFIRM = re.compile(rb"/confirm/([0-9a-f]{32})")
LINK = re.compile(rb"/(unsubscribe|preferences|me)/([\w.=-]+)")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def smtpd() -> AsyncIterator[ScriptedServer]:
    async with serving(ScriptedServer()) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cinema(start_up: Callable[..., Up], smtpd: ScriptedServer) -> AsyncIterator[Cinema]:
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("CINEMA_SMTP", f"smtp://127.0.0.1:{smtpd.port}?starttls=never")
        up = start_up("--clock", "topic", "--no-smtp")
    cinema = Cinema(up)
    await cinema.open()
    yield cinema
    await cinema.close()


def logs(data: Path) -> dict[str, str]:
    """Return what the workers have written, by the name of the log."""
    files = [*data.glob("streams-*.log"), *data.glob("sender-*.log")]
    return {path.name: path.read_text(errors="replace").lower() for path in files}


async def mail(smtpd: ScriptedServer, number: int) -> bytes:
    """Return the last of so many mails, unfolded."""

    async def came() -> bool:
        return len(smtpd.mails) >= number

    await eventually(came)
    return smtpd.mails[-1][2].replace(b"=\r\n", b"").replace(b"\r\n ", b" ")


async def test_logs_hold_no_address_name_token_key_code_or_body_of_a_whole_story(
    cinema: Cinema, smtpd: ScriptedServer
) -> None:
    http, streams, sender = cinema.http, cinema.streams, cinema.sender
    key, user = cinema.up.addresses.api_key, cinema.name()
    used = {ADDRESS, GONE, NAME, BODY, SUBJECT, REASON, TITLE, ZONE, key}
    greeting = {"event": "send_greeting", "user_id": user, "email": ADDRESS, "username": NAME}
    profile = {"user_id": user, "email": ADDRESS, "username": NAME, "timezone": "UTC"}

    # She registers, over HTTP, and confirms.
    posted = {"records": [{"key": user, "value": greeting}]}
    headers = {"Authorization": f"Bearer {key}"}
    kafka = headers | {"Content-Type": "application/vnd.kafka.json.v2+json"}
    async with http.post(f"{streams}/topics/registration", json=posted, headers=kafka) as answer:
        assert answer.status == 200
    found = CONFIRM.search(await mail(smtpd, 1))
    assert found is not None
    code = found[1].decode()
    used.add(code)
    async with http.post(f"{sender}/confirm/{code}", allow_redirects=False) as answer:
        assert answer.status == 303

    # She watches, and gets her month; leaves that kind, and chooses.
    film = await cinema.film(title=TITLE)
    await cinema.send("users", profile, user)
    await cinema.settle()
    await cinema.watch(user, film, cinema.now)
    await cinema.settle()
    trigger = {"event": "send_statistic", "month": f"{cinema.now:%Y-%m}", "users": [user]}
    await cinema.send("monthly_statistic", trigger, user)
    links = {name.decode(): one.decode() for name, one in LINK.findall(await mail(smtpd, 2))}
    assert links.keys() == {"unsubscribe", "preferences", "me"}
    used |= set(links.values())
    for base, name in ((streams, "me"), (streams, "preferences"), (sender, "preferences")):
        async with http.get(f"{base}/{name}/{links[name]}") as answer:
            assert answer.status == 200
    url = f"{sender}/unsubscribe/{links['unsubscribe']}"
    async with http.post(url, data={"reason": REASON}) as answer:
        assert answer.status == 200

    # Her socket, her own statistics, and the operators' looks at them.
    token = cinema.token(user)
    used.add(token)
    await cinema.send("activity", {"user_id": user, "body": BODY}, user)
    await cinema.settle()
    async with http.ws_connect(f"{sender}/ws") as socket:
        await socket.send_json({"token": token})
        assert (await socket.receive_json(timeout=5))["type"] == "hello"
        assert (await socket.receive_json(timeout=5))["body"] == BODY
    for bearer in (key, token):
        for what in ("statistics", "deliveries", "preferences"):
            asked = {"Authorization": f"Bearer {bearer}"}
            async with http.get(f"{streams}/users/{user}/{what}", headers=asked) as answer:
                assert answer.status == 200
    async with http.post(f"{streams}/login", data={"key": key}, allow_redirects=False) as answer:
        assert answer.status == 303
        used.add(answer.cookies["cinema_session"].value)
    secrets = msgspec.json.decode((cinema.up.data / "secrets.json").read_bytes())
    login = Tokens(secrets["link_secret"]).sign(LOGIN, "read")
    used |= {login, *secrets.values()}
    async with http.get(f"{sender}/preview/tip/en?user={user}", headers=headers) as answer:
        assert answer.status == 200

    # What is refused.
    forged = f"{token}forged"
    async with http.get(
        f"{streams}/users/{user}/statistics?token={forged}",
        headers={"Authorization": f"Bearer {forged}"},
    ) as answer:
        assert answer.status == 401
    async with http.ws_connect(f"{sender}/ws") as socket:
        await socket.send_str(forged)
        assert await socket.receive_str(timeout=5) == "Error"
    for base in (streams, sender):
        parts = urlsplit(base)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET /me/{token} HTTP/1.1\r\nAuthorization: {key}\0\r\n\r\n".encode())
        answered = await asyncio.wait_for(reader.read(), 5)
        assert b" 400 " in answered and b"nosniff" in answered
        writer.close()

    # Records that cannot be used.
    for value in (
        f"{{{ADDRESS} {NAME}".encode(),
        profile | {"timezone": ZONE},
        profile | {"email": f"{ADDRESS}\r\nBcc: {GONE}"},
        profile | {"channels": {NAME: [BODY]}},
    ):
        assert cinema.is_dead(await _settled(cinema, value, user))

    # Mail servers that repeat whom they refuse.
    letter = {"subject": SUBJECT, "text": BODY, "to": ADDRESS}
    for stage, said in (
        ("RCPT", f"451 4.3.0 <{ADDRESS}> is busy\r\n"),
        ("RCPT", f"550 5.1.1 <{GONE}> is nobody\r\n"),
        ("end of data", f"554 5.7.1 spam for <{ADDRESS}>: {SUBJECT}\r\n"),
        ("MAIL", f"421 4.3.2 not for <{ADDRESS}>\r\n{DROP.decode()}"),
    ):
        smtpd.script[stage].append(said.encode())
        to = GONE if GONE in said else ADDRESS
        await cinema.send("letters", letter | {"to": to, "subject": f"{SUBJECT} {said[:9]}"})
        await cinema.settle()
    assert not any(smtpd.script.values())

    # She is erased.
    await cinema.send("users", None, user)
    await cinema.settle()
    assert user in cinema.log.erased

    await asyncio.to_thread(cinema.up.stop)
    written = logs(cinema.up.data)
    assert len(written) == 2 and all(written.values())
    assert not any("logging error" in text or "traceback" in text for text in written.values())
    leaks = [(name, one) for name, text in written.items() for one in used if one.lower() in text]
    assert leaks == []


async def _settled(cinema: Cinema, value: object, user: str) -> Sent:
    sent = await cinema.send("users", value, user)
    await cinema.settle()
    return sent
