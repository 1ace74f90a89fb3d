"""The door for mails: aiosmtpd's server, which takes everything."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiosmtpd.smtp import SMTP

from dev.mailbox.store import Mailbox

# As most servers: 32 MiB are also what the service's largest job can become.
SIZE_LIMIT: Final = 32 << 20


class Handler:
    """What aiosmtpd calls for each command."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer PIPELINING (RFC 2920) too: aiosmtpd reads commands in order, sent ahead or not."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the mail."""
        mail = self._mailbox.add(envelope.content, envelope.mail_from or "", envelope.rcpt_tos)
        return f"250 2.0.0 Ok: kept as {mail.id}"


async def serve(mailbox: Mailbox, host: str, port: int) -> asyncio.Server:
    """Listen for mails until the server is closed."""
    loop = asyncio.get_running_loop()
    handler = Handler(mailbox)

    def protocol() -> SMTP:
        return SMTP(
            handler,
            hostname="localhost",
            ident="dev mailbox",
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            loop=loop,
        )

    return await loop.create_server(protocol, host, port)
