"""A mail server that plays a script: what it answers, and when it hangs up or falls silent."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DROP: Final = b"(drop)"
HANG: Final = b"(hang)"
ANSWERS: Final = {
    "connect": b"220 test ESMTP\r\n",
    "STARTTLS": b"220 go\r\n",
    "AUTH": b"235 2.7.0 welcome\r\n",
    "DATA": b"354 go on\r\n",
    "QUIT": b"221 bye\r\n",
}


OUT_OF_ORDER: Final = b"503 5.5.1 bad sequence of commands\r\n"


@dataclass
class ScriptedServer:
    """Answers well unless `script` has something else for a stage, which it then plays once.

    `always` is played every time. A step that ends with DROP hangs up after what is before it, one
    that ends with HANG falls silent.
    """

    offers: list[str] = field(default_factory=lambda: ["8BITMIME", "SIZE 1000000"])
    # RFC 2920, 3.1: a server may take data before it says that there is nobody to have them.
    data_for_nobody: bool = False
    tls: ssl.SSLContext | None = None
    script: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    always: dict[str, bytes] = field(default_factory=dict)
    mails: list[tuple[str, str, bytes]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    port: int = 0
    delays: dict[str, float] = field(default_factory=dict)
    # So many bytes of a reply are written at once, where it is not 0.
    pieces: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writers.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._session(reader, writer)
        finally:
            self.open -= 1
            self.writers.discard(writer)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await self._answer(writer, "connect") is None:
            return
        sender = recipient = ""
        encrypted = False
        while line := (await reader.readline()).decode(errors="replace").rstrip("\r\n"):
            self.commands.append(line)
            verb = line.partition(" ")[0].upper()
            usual = None
            ordered = {"MAIL": not sender, "RCPT": bool(sender)}
            ordered["DATA"] = bool(recipient) or self.data_for_nobody
            if not ordered.get(verb, True):
                usual = OUT_OF_ORDER
            if verb == "EHLO":
                offers = [*self.offers, *(["STARTTLS"] if self.tls and not encrypted else [])]
                lines = ["test", *offers]
                text = "".join(f"250-{item}\r\n" for item in lines[:-1]) + f"250 {lines[-1]}\r\n"
                if await self._answer(writer, verb, text.encode()) is None:
                    return
                continue
            if (said := await self._answer(writer, verb, usual)) is None:
                return
            good = said.startswith(b"2")
            if verb == "STARTTLS" and self.tls and said.startswith(b"220"):
                await writer.start_tls(self.tls)
                encrypted = True
            elif verb == "MAIL" and good:
                sender = line
            elif verb == "RCPT" and good:
                recipient = line
            elif verb == "RSET" and good:
                sender = recipient = ""
            elif verb == "QUIT":
                return
            elif verb == "DATA" and said.startswith(b"354"):
                content = await _content(reader)
                usual = None if recipient else b"554 5.5.1 no valid recipients\r\n"
                if (said := await self._answer(writer, "end of data", usual)) is None:
                    return
                if said.startswith(b"2") and recipient:
                    self.mails.append((sender, recipient, content))
                sender = recipient = ""

    async def _answer(
        self, writer: asyncio.StreamWriter, stage: str, usual: bytes | None = None
    ) -> bytes | None:
        """Play a stage; return what was said, None where the connection ends with it."""
        step = usual or ANSWERS.get(stage, b"250 2.0.0 ok\r\n")
        if usual == OUT_OF_ORDER:
            pass
        elif self.script[stage]:
            step = self.script[stage].pop(0)
        elif stage in self.always:
            step = self.always[stage]
        if stage in self.delays:
            await asyncio.sleep(self.delays[stage])
        said = step.removesuffix(DROP).removesuffix(HANG)
        size = self.pieces or len(said) or 1
        for begin in range(0, len(said), size):
            writer.write(said[begin : begin + size])
            await writer.drain()
            if self.pieces:
                await asyncio.sleep(0)
        if step.endswith(HANG):
            await asyncio.sleep(3600)
        return None if step.endswith(DROP) else step


async def _content(reader: asyncio.StreamReader) -> bytes:
    """Read data to their end, which is the first line already where there are none."""
    content = b""
    while not (content == b".\r\n" or content.endswith(b"\r\n.\r\n")):
        content += await reader.readuntil(b".\r\n")
    return content


@asynccontextmanager
async def serving(server: ScriptedServer, port: int = 0) -> AsyncIterator[ScriptedServer]:
    """Serve on a free port of the loopback."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await server.serve(reader, writer)

    listener = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 24)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context for 127.0.0.1 and the certificate that makes clients trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
