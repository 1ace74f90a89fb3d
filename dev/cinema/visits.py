"""What people do with their mails: they open the links in them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import aiohttp

from dev.cinema.records import CONFIRM, Visit
from dev.cinema.seen import Job

CONFIRM_LINK: Final = re.compile(r"https?://\S+/confirm/[\w-]+")
UNSUBSCRIBE_LINK: Final = re.compile(r"<(https?://[^>]+/unsubscribe/[^>]+)>")
# Longer than a worker takes to be back.
TRIES: Final = 30
PAUSE: Final = 1.0
# More than come between two visits, mostly.
NEW: Final = 100
# RFC 8058, section 3.1: what a mail provider posts when someone clicks "unsubscribe".
ONE_CLICK: Final = {"List-Unsubscribe": "One-Click"}


class Postbox:
    """The mailbox as its readers see it; `mails` are all, oldest first, after `fetch`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.mails: list[dict[str, Any]] = []
        #: The mailbox's id of the last mail of each job.
        self.of_job: dict[str, str] = {}

    async def fetch(self) -> None:
        """Read the headers of what is new."""
        limit = NEW
        while True:
            found = await self._get("messages", start=0, limit=limit)
            new = found["total"] - len(self.mails)
            if new <= limit:
                break
            limit = new
        for mail in reversed(found["messages"][:new]):
            self.mails.append(mail)
            self.of_job[job_of(mail)] = mail["ID"]

    async def visit(self, visits: Sequence[Visit], jobs: Mapping[str, Job]) -> list[str]:
        """Open the links as one does; return what went wrong."""
        if not visits:
            return []
        await self.fetch()
        last = {(jobs[job].user_id, jobs[job].kind): job for job in self.of_job if job in jobs}
        jobs_of = [last.get((visit.user_id, visit.kind)) for visit in visits]
        found = await asyncio.gather(*map(self._open, visits, jobs_of))
        return [
            f"{visit.user_id} cannot {visit.purpose}: {problem}"
            for visit, problem in zip(visits, found, strict=True)
            if problem is not None
        ]

    async def _open(self, visit: Visit, job: str | None) -> str | None:
        if job is None:
            return f"there is no mail of kind {visit.kind}"
        mail = await self._get(f"message/{self.of_job[job]}")
        if visit.purpose == CONFIRM:
            link, form = CONFIRM_LINK.search(mail["Text"]), None
            url = link and link[0]
        else:
            link, form = UNSUBSCRIBE_LINK.search(mail["ListUnsubscribe"]["Header"]), ONE_CLICK
            url = link and link[1]
        if not url:
            return "there is no link in the mail"
        for _ in range(TRIES):
            # A worker that is being started again: one comes back to the page.
            with suppress(aiohttp.ClientError):
                async with self._session.post(url, data=form, allow_redirects=False) as response:
                    if response.status < 500:
                        return None if response.status < 400 else f"{response.status} for the link"
            await asyncio.sleep(PAUSE)
        return "the page does not answer"

    async def _get(self, path: str, **query: int) -> Any:
        url = f"{self._url}/api/v1/{path}"
        async with self._session.get(url, params=query) as response:
            response.raise_for_status()
            return await response.json()


def job_of(mail: Mapping[str, Any]) -> str:
    """Return the id of a mail's job: what stands before the @ of its Message-ID."""
    return str(mail["MessageID"]).strip("<>").partition("@")[0]
