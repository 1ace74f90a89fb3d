"""`GET /me/{token}`: a person's own months, for whoever holds the link of their mail."""

from __future__ import annotations

from typing import Any

import pytest

from streams.errors import NotKept
from streams.links import MONTHS, PREFERENCES, Tokens
from tests.streams.web.conftest import Client, Neighbours, Start

WATCHED = {"2026-11": 0, "2026-10": 4, "2026-09": 2}


def link(secret: str = "a-secret-for-links-in-mails", purpose: str = MONTHS) -> str:
    return f"/me/{Tokens(secret).sign(purpose, ['ann'])}"


def month_of(user_id: str, month: str | None) -> dict[str, Any]:
    month = month or "2026-11"
    if month < "2024-11":
        raise NotKept(f"{month} is not kept")
    films = WATCHED.get(month, 0)
    genres = [
        {"genre": "Drama & <b>", "films": films, "seconds": 3600 * films},
        {"genre": "Noir", "films": 1, "seconds": 600},
    ]
    return {
        "user_id": user_id,
        "month": month,
        "films": films,
        "seconds": 5400 * films,
        "genres": genres if films else [],
        "top_genre": None,
        "streak": films and 2,
        "late": int(month == "2026-10"),
    }


@pytest.fixture(autouse=True)
def _known(neighbours: Neighbours) -> None:
    neighbours.statistics_of = month_of  # type: ignore[method-assign]


async def test_the_link_shows_the_last_month_in_which_something_was_watched(client: Client) -> None:
    response = await client.get(link() + "?lang=en")
    page = await response.text()
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert '<h2 id="shown" class="named">October 2026</h2>' in page
    assert "<dd>4</dd>" in page and "<dd>6</dd>" in page and "<dd>2</dd>" in page
    assert "In September: 2 films, 3 hours." in page
    assert "1 of these came to us after the mail had gone." in page
    assert "Drama &amp; &lt;b&gt;" in page and "<b>" not in page


async def test_a_year_of_months_is_shown_each_as_long_as_its_films(client: Client) -> None:
    page = await (await client.get(link() + "?lang=en")).text()
    assert page.count('<th scope="row"><a href="?month=') == 12
    assert page.count('class="filled" width="50"') == 1
    assert "November 2026 <span" in page and "(so far)" in page
    assert 'href="?month=2025-12&amp;lang=en"' in page


async def test_another_month_is_a_link_away_also_one_without_films(client: Client) -> None:
    page = await (await client.get(link() + "?lang=en&month=2026-08")).text()
    assert ">August 2026</h2>" in page
    assert "Nothing watched." in page


async def test_it_speaks_the_language_of_the_mail(client: Client) -> None:
    page = await (await client.get(link() + "?lang=ru")).text()
    assert "октябрь 2026" in page and "сентябрь: 2 фильма, 3 часа." in page


@pytest.mark.parametrize("month", ["2026-13", "x", "1999-01"])
async def test_a_month_that_is_none_or_not_kept_is_404(client: Client, month: str) -> None:
    assert (await client.get(link(), params={"month": month})).status == 404


async def test_no_other_token_opens_it(client: Client) -> None:
    forged = link("another-secret-of-somebody")
    for path in (forged, link(purpose=PREFERENCES), link() + "x", "/me/ann"):
        response = await client.get(path)
        assert response.status == 404
        assert "ann" not in await response.text()


async def test_any_worker_answers_and_asks_the_owner(start: Start, neighbours: Neighbours) -> None:
    owner: Client = await start()
    other = Neighbours(owners={"ann": str(owner.make_url("/"))})
    asked: Client = await start(other)
    response = await asked.get(link(), headers={"Accept-Language": "ru"})
    assert response.status == 200
    assert "октябрь 2026" in await response.text()


async def test_while_the_tables_are_recovered_it_says_when_to_come_again(
    start: Start, neighbours: Neighbours
) -> None:
    del neighbours.statistics_of
    neighbours.recovering = True
    client: Client = await start()
    response = await client.get(link())
    assert response.status == 503
    assert response.headers["Retry-After"]
