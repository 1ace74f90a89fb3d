"""The jobs whose mails are measured: weekly reminders that all differ, and a campaign's tip.

Both half in Russian, both with a person's own name and links.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from sender.links import LinkMaker
from sender.message import Mail, build
from sender.render import Renderer
from sender.samples import sample_job
from streams import jobs
from streams.jobs import Job
from streams.settings import LOCALES, Settings

# So many films are told to somebody in a week, ten to each.
CATALOGUE: Final = 300
TOLD: Final = 10
# With that many paragraphs a tip is a mail of 14 kB.
PARAGRAPHS: Final = 6
WORDS: Final = {
    "en": "Nobody in the hall spoke when the piano began, and nobody wanted to leave at the end. ",
    "ru": "Никто в зале не говорил, когда зазвучал рояль, и никто не хотел уходить в конце. ",
}

#: Makes the job with that number, for a person of that name.
Make = Callable[[int, str], Job]


def reminder(number: int, name: str) -> Job:
    """Return a weekly reminder with ten films of its own."""
    job = _for(name, "personal_selection", number)
    films = [_film(job, one) for one in random.Random(name).sample(range(CATALOGUE), TOLD)]
    return msgspec.structs.replace(job, context=job.context | {"films": films})


def tip(number: int, name: str) -> Job:
    """Return one of a campaign's tips, which say the same to all."""
    job = _for(name, "tip", number)
    paragraph = WORDS[job.locale] * 4
    text = "\n\n".join([paragraph] * PARAGRAPHS)
    return msgspec.structs.replace(job, context=job.context | {"text": text})


def mail_of(job: Job, settings: Settings) -> bytes:
    """Return the mail of a job."""
    links = LinkMaker(settings).of(job)
    rendered = Renderer(settings).render(job, links)
    return build(Mail.of(job, rendered, links, settings.mail_from, job.created_at), eightbit=True)


def _for(name: str, template: str, number: int) -> Job:
    sample = sample_job(template, LOCALES[number % len(LOCALES)])
    now = datetime.now(UTC)
    return msgspec.structs.replace(
        sample,
        job_id=jobs.job_id("bench", sample.kind, name, sample.channel),
        user_id=name,
        to=f"{name}@example.com",
        context=sample.context | {"username": f"{sample.context['username']} {number}"},
        created_at=now,
        expires_at=now + timedelta(hours=24),
    )


def _film(job: Job, number: int) -> dict[str, Any]:
    films = job.context["films"]
    film: dict[str, Any] = films[number % len(films)]
    return film | {"film_id": f"film-{number}", "title": f"{film['title']} {number}"}
