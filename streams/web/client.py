"""A client for other workers, of whichever app, as long as this one runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

#: The caller's own credentials, which the worker that is asked looks at itself, and language.
PASSED: Final = ("Authorization", "Cookie", "Accept-Language")


class Answer(NamedTuple):
    """What another worker answered."""

    status: int
    body: bytes
    content_type: str


class Client:
    """Asks once, and waits for so many seconds."""

    def __init__(self, seconds: float) -> None:
        """Open nothing yet."""
        self._timeout = ClientTimeout(total=seconds)
        self._session: ClientSession | None = None

    async def run(self, web_app: web.Application) -> AsyncIterator[None]:
        """Hold the session; to be put into the application's `cleanup_ctx`."""
        async with ClientSession(timeout=self._timeout) as self._session:
            yield

    async def get(self, url: URL, headers: Mapping[str, str]) -> Answer | None:
        """Return what is answered there; None where nobody answers in time."""
        assert self._session is not None
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                return Answer(response.status, await response.read(), response.content_type)
        except (ClientError, TimeoutError, OSError):
            return None


def passed(request: web.Request) -> dict[str, str]:
    """Return the headers with which another worker is asked for whoever asks this one."""
    return {name: request.headers[name] for name in PASSED if name in request.headers}
