"""Realistic contexts for each template in both languages, for the preview and the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sender.links import Links
from streams.jobs import Cause, Job, job_id
from streams.kinds import EMAIL, KINDS, TIP
from streams.settings import Settings

WHEN: Final = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
KIND_OF: Final = {kind.template: kind for kind in KINDS.values()}
NAMES: Final = {"en": "Anna", "ru": "Анна"}


def sample_job(template: str, locale: str) -> Job:
    """Return a job as an agent would make it; for a campaign's own template, a tip's."""
    kind = KIND_OF.get(template, TIP)
    language = locale if locale in NAMES else "en"
    return Job(
        job_id=job_id("sample", kind.name, "sample", EMAIL),
        user_id="sample",
        channel=EMAIL,
        kind=kind.name,
        template=template,
        locale=locale,
        timezone="Europe/Moscow" if language == "ru" else "Europe/London",
        to="anna@example.org",
        context=sample_context(kind.template, language),
        created_at=WHEN,
        expires_at=WHEN + kind.expires if kind.expires else None,
        attempt=1,
        cause=Cause("samples", 0, 0),
    )


def sample_links(job: Job, settings: Settings) -> Links:
    """Return links of the right shape that open nothing."""
    base, kind = settings.public_url, KINDS[job.kind]
    months = settings.streams_url
    # The form of a real one: ["sample"], a time, a signature.
    token = "WyJzYW1wbGUiXQ.aR9bUA." + "0" * 43
    return Links(
        confirm_url=f"{base}/confirm/{job.job_id}" if job.template == "welcome" else None,
        unsubscribe_url=f"{base}/unsubscribe/{token}" if kind.unsubscribable else None,
        preferences_url=f"{base}/preferences/{token}" if kind.unsubscribable else None,
        statistics_url=f"{months}/me/{token}" if months and job.template == "statistics" else None,
    )


def sample_context(template: str, language: str) -> dict[str, Any]:
    """Return the context of one of the built-in templates, in `ru` or `en`."""
    russian = language == "ru"
    contexts: dict[str, dict[str, Any]] = {
        "welcome": {"redirect": None},
        "mail": LETTER_RU if russian else LETTER_EN,
        "activity": {
            "body": "Борис ответил на ваш отзыв о фильме «Носферату»."
            if russian
            else "Boris has answered your review of “Nosferatu”."
        },
        "bookmarks": {
            "serial_name": "Вампиры" if russian else "Les Vampires",
            "link": "https://cinema.example/watch/vampires-1-7",
            "season": 1,
            "episode": 7,
            "link_out": None,
        },
        "personal_selection": {"week": "2026-W47", "films": _films(language)},
        "statistics": _month(language),
        "tip": {"campaign_id": "silent-autumn", "film": _films(language)[0]},
    }
    return {"username": NAMES[language], **contexts[template]}


def _films(language: str) -> list[dict[str, Any]]:
    index = 1 if language == "ru" else 0
    return [
        {
            "film_id": slug,
            "title": titles[index],
            "url": f"https://cinema.example/films/{slug}",
            "genres": [GENRES[genre][index] for genre in genres],
            "rating": rating,
            "fresh": number < 2,
        }
        for number, (slug, titles, genres, rating) in enumerate(FILMS)
    ]


def _month(language: str) -> dict[str, Any]:
    index = 1 if language == "ru" else 0
    hour = timedelta(hours=1).seconds
    rows = [("drama", 9, 15.4), ("comedy", 6, 8.2), ("horror", 3, 4.6), ("adventure", 1, 1.7)]
    return {
        "month": "2026-10",
        "films": 14,
        "seconds": round(23.6 * hour),
        "genres": [
            {"genre": GENRES[genre][index], "films": films, "seconds": round(hours * hour)}
            for genre, films, hours in rows
        ],
        "top_genre": GENRES["drama"][index],
        "streak": 5,
        "previous": {"month": "2026-09", "films": 11, "seconds": round(17.25 * hour)},
    }


GENRES: Final = {
    "adventure": ("adventure", "приключения"),
    "comedy": ("comedy", "комедия"),
    "crime": ("crime", "криминал"),
    "documentary": ("documentary", "документальный"),
    "drama": ("drama", "драма"),
    "fantasy": ("fantasy", "фэнтези"),
    "horror": ("horror", "ужасы"),
    "romance": ("romance", "мелодрама"),
    "science fiction": ("science fiction", "фантастика"),
}
FILMS: Final = (
    ("nosferatu", ("Nosferatu", "Носферату, симфония ужаса"), ("horror", "fantasy"), 7.9),
    ("the-general", ("The General", "Паровоз «Генерал»"), ("comedy", "adventure"), 8.1),
    ("sunrise", ("Sunrise", "Восход солнца"), ("drama", "romance"), 8.1),
    ("the-kid", ("The Kid", "Малыш"), ("comedy", "drama"), 8.2),
    ("metropolis", ("Metropolis", "Метрополис"), ("drama", "science fiction"), 8.3),
    ("caligari", ("The Cabinet of Dr. Caligari", "Кабинет доктора Калигари"), ("horror",), 8.0),
    ("man-with-a-camera", ("Man with a Movie Camera", "Человек с киноаппаратом"),
     ("documentary",), 8.3),
    ("aelita", ("Aelita", "Аэлита"), ("science fiction",), 6.4),
    ("phantom-carriage", ("The Phantom Carriage", "Возница"), ("drama", "fantasy"), 8.0),
    ("mabuse", ("Dr. Mabuse the Gambler", "Доктор Мабузе, игрок"), ("crime",), 7.8),
)  # fmt: skip
LETTER_EN: Final = {
    "subject": "The screen in hall 2 is back",
    "text": "",
    "body": "<h1>Hall 2 is open again</h1><p>Thank you for your patience. The new screen is "
    "<b>two metres wider</b>, and the seats in row seven no longer creak.</p>"
    "<ul><li>Silent films on Tuesdays, with a piano</li><li>Matinées at eleven</li></ul>"
    '<p>The whole programme is <a href="https://cinema.example/programme">here</a>.</p>',
}
LETTER_RU: Final = {
    "subject": "Экран второго зала вернулся",
    "text": "",
    "body": "<h1>Второй зал снова открыт</h1><p>Спасибо за терпение. Новый экран "
    "<b>на два метра шире</b>, а кресла седьмого ряда больше не скрипят.</p>"
    "<ul><li>По вторникам — немое кино под рояль</li><li>Утренние сеансы в одиннадцать</li></ul>"
    '<p>Вся программа — <a href="https://cinema.example/programme">здесь</a>.</p>',
}
