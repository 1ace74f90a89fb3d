"""TLS sessions that the next connection resumes: a round trip and a signature less."""

from __future__ import annotations

import ssl


def resuming(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make connections of a context resume the last session with a server of the same name.

    The certificate was verified when the session began. asyncio has no argument for it, so it is
    set where `ssl` lets a context have its own kind of connection.
    """
    last: dict[str | None, ssl.SSLObject] = {}

    class Resuming(ssl.SSLObject):
        _begun = False

        def do_handshake(self) -> None:
            if not self._begun:
                self._begun = True
                before = last.get(self.server_hostname)
                # With TLS 1.3 there is one only when the server has sent a ticket.
                if before is not None and before.session is not None:
                    self.session = before.session
            super().do_handshake()
            last[self.server_hostname] = self

    context.sslobject_class = Resuming
    return context
