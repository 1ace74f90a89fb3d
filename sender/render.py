"""Subject, HTML and text of a job, in the recipient's language; title and body of an inbox entry.

A context is data and never a template: whatever a stranger wrote stays text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sender.addresses import mailbox
from sender.catalogue import HTML, INBOX, SUBJECT, TEMPLATES, TEXT, Catalogue
from sender.headers import one_line
from sender.links import Links
from sender.sanitise import web_link
from streams.jobs import Job
from streams.kinds import ACTIVITY
from streams.settings import Settings

# Mail clients show some 70 characters; a megabyte in a header is refused by every server.
SUBJECT_LENGTH: Final = 255
# What a campaign may leave out of its context; all else that a template wants must be there.
OPTIONAL: Final[dict[str, dict[str, Any]]] = {
    "mail": {"subject": "", "text": "", "body": ""},
    "activity": {"count": 1, "bodies": []},
    "bookmarks": {"season": None, "episode": None, "link": None, "link_out": None},
    "tip": {"title": "", "text": "", "film": None},
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one mail says, and in which locale."""

    subject: str
    html: str
    text: str
    locale: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The same with its bodies in a mail's form: bytes, which `sender/segments.py` has joined."""

    subject: str
    html: bytes
    text: bytes
    locale: str


class Renderer:
    """Turns jobs into what their mails and inbox entries say; built once a process."""

    def __init__(self, settings: Settings, folder: Path = TEMPLATES) -> None:
        """Compile every template of the folder."""
        self._settings = settings
        self._catalogue = Catalogue(settings, folder)

    def templates(self) -> dict[str, tuple[str, ...]]:
        """Return the locales of every template, by its name."""
        return self._catalogue.names()

    def render(self, job: Job, links: Links, now: datetime | None = None) -> Rendered:
        """Return the mail's subject, HTML and text.

        `now` is the business time the templates see, the job's own where not given. Raises
        TemplateError that names template, locale and cause.
        """
        context = self._with_subject(job, links, now)
        html = self.file(job, HTML, context)
        text = tidy(self.file(job, TEXT, context)) + "\n"
        return Rendered(context["subject"], html, text, context["locale"])

    def inbox(self, job: Job, now: datetime | None = None) -> tuple[str, str, str]:
        """Return title, body and URL of the job's inbox entry; an activity's body as it came.

        Several of a group are a list, and what is not on it a number. Raises TemplateError as
        `render` does.
        """
        context = self._with_subject(job, None, now)
        body = job.context.get("body")
        if job.kind != ACTIVITY.name or job.context.get("bodies") or not isinstance(body, str):
            body = tidy(self.file(job, INBOX, context))
        return context["subject"], body, self._target(job.context)

    def context(self, job: Job, links: Links | None, now: datetime | None) -> dict[str, Any]:
        """Return what templates see; what the sender adds wins over what the job brings."""
        locale = self._catalogue.locale(job.template, job.locale)
        words = self._catalogue.words(locale)
        return {
            **OPTIONAL.get(job.template, {}),
            **job.context,
            "locale": locale,
            "words": words,
            "brand": mailbox(self._settings.mail_from)[0] or words.get("brand", ""),
            "kind": job.kind,
            "cinema_url": self._settings.cinema_url,
            "confirm_days": self._settings.confirm_days,
            "confirm_url": links and links.confirm_url,
            "unsubscribe_url": links and links.unsubscribe_url,
            "preferences_url": links and links.preferences_url,
            "statistics_url": links and links.statistics_url,
            "now": now or job.created_at,
        }

    def file(
        self, job: Job, file: str, context: Mapping[str, Any], *, proving: bool = False
    ) -> str:
        """Return one file of the job's template with that context; `proving`: with holes in it."""
        return self._catalogue.render(job.template, context["locale"], file, context, proving)

    def _with_subject(self, job: Job, links: Links | None, now: datetime | None) -> dict[str, Any]:
        context = self.context(job, links, now)
        context["subject"] = subject_line(self.file(job, SUBJECT, context))
        return context

    def _target(self, context: Mapping[str, Any]) -> str:
        """Return where an inbox entry leads: to the episode, to the film, else to the cinema."""
        film = context.get("film")
        url = context.get("link") or (film.get("url") if isinstance(film, dict) else None)
        return web_link(url, self._settings.cinema_url)


def subject_line(text: str) -> str:
    """Return what a subject's template says on one line, and not endless."""
    line = one_line(text)
    return line if len(line) <= SUBJECT_LENGTH else line[: SUBJECT_LENGTH - 1] + "…"


def tidy(text: str) -> str:
    """Return text without the blank lines that a template's tags leave behind."""
    # Half of what a regular expression takes.
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip()
