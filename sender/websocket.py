"""The websocket channel: what is sent is in the inbox, and open sockets hear of it at once."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from sender.channels import Halted, Outcome, Outcomes, fault
from sender.inbox import Draft, Inbox
from streams.errors import TemplateError
from streams.jobs import Job, encode
from streams.kinds import WEBSOCKET
from streams.records import Output
from streams.topics import INBOX

logger = logging.getLogger(__name__)


class InboxRenderer(Protocol):
    """What makes an entry's title, body and URL of a job; TemplateError where it cannot."""

    def inbox(self, job: Job, now: datetime | None = None) -> tuple[str, str, str]:
        """Return title, body and URL."""


class WebsocketChannel:
    """Puts jobs into inboxes. The inbox knows its job ids: a repeat gets the entry it had."""

    name = WEBSOCKET
    repeatable = True
    paused_by: str | None = None

    def __init__(self, renderer: InboxRenderer, inbox: Inbox) -> None:
        """Render with that renderer into that inbox."""
        self._renderer = renderer
        self._inbox = inbox

    async def start(self) -> None:
        """Need nothing more."""

    async def stop(self) -> None:
        """Hold nothing."""

    async def ready(self) -> None:
        """Be ready always: without Redis there are no claims, and no jobs."""

    async def deliver(
        self, jobs: Sequence[Job], now: datetime, halted: Halted
    ) -> AsyncIterator[Outcomes]:
        """Add the jobs' entries in one call; what cannot be rendered fails alone."""
        drafts: list[tuple[Job, Draft]] = []
        failed: Outcomes = []
        for job in jobs:
            try:
                drafts.append((job, self._draft(job, now)))
            except TemplateError as error:
                logger.warning("job %s: %s", job.job_id, error)
                failed.append((job, Outcome("failed", f"template: {error}")))
            except Exception as error:
                failed.append((job, fault(job, error)))
        if failed:
            yield failed
        if drafts:
            entries = await self._inbox.add([(job.user_id, draft) for job, draft in drafts])
            yield [
                (job, Outcome("sent", "in the inbox", outputs=(_output(job, encode(entry)),)))
                for (job, _), entry in zip(drafts, entries, strict=True)
            ]

    def _draft(self, job: Job, now: datetime) -> Draft:
        title, body, url = self._renderer.inbox(job, now)
        return Draft(
            job_id=job.job_id,
            kind=job.kind,
            title=title,
            body=body,
            url=url,
            created_at=job.created_at,
        )


def _output(job: Job, entry: bytes) -> Output:
    return Output(INBOX, job.user_id, entry)
