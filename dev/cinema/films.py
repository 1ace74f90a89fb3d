"""The catalogue: sixty films in the public domain, two serials with their episodes among them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

CINEMA_URL: Final = "https://cinema.example"


@dataclass(frozen=True, slots=True)
class Film:
    """One film, or one episode of a serial; `rating` is out of ten."""

    film_id: str
    title: str
    year: int
    genres: tuple[str, ...]
    rating: float
    series_id: str | None = None

    @property
    def url(self) -> str:
        """Where the film can be watched."""
        return f"{CINEMA_URL}/films/{self.film_id}"

    def value(self, released: date | None = None) -> dict[str, Any]:
        """Return the record's value on `films`; `released` for one that is new to the cinema."""
        value: dict[str, Any] = {
            "film_id": self.film_id,
            "title": self.title,
            "url": self.url,
            "genres": list(self.genres),
            "rating": self.rating,
            "released": released.isoformat() if released else self.year,
        }
        return value if self.series_id is None else value | {"series_id": self.series_id}


@dataclass(frozen=True, slots=True)
class Series:
    """A serial: `early` of its episodes are out when the story begins."""

    series_id: str
    name: str
    year: int
    genres: tuple[str, ...]
    rating: float
    early: int
    titles: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where the serial can be watched."""
        return f"{CINEMA_URL}/series/{self.series_id}"

    @property
    def episodes(self) -> tuple[Film, ...]:
        """The episodes as films, in order."""
        return tuple(
            Film(
                f"{self.series_id}-{number:02d}",
                f"{self.name}: {title}",
                self.year,
                self.genres,
                self.rating,
                self.series_id,
            )
            for number, title in enumerate(self.titles, start=1)
        )


def _films(table: str) -> tuple[Film, ...]:
    films = []
    for line in table.strip().splitlines():
        title, year, genres, rating = (part.strip() for part in line.split("|"))
        film_id = re.sub(r"[^a-z0-9]+", "-", f"{title} {year}".lower().replace("ä", "a")).strip("-")
        films.append(Film(film_id, title, int(year), tuple(genres.split(", ")), float(rating)))
    return tuple(films)


SINGLE: Final = _films("""
    A Trip to the Moon           | 1902 | Science fiction, Adventure  | 8.1
    The Great Train Robbery      | 1903 | Western, Crime              | 7.2
    The Cabinet of Dr. Caligari  | 1920 | Horror, Thriller            | 8.0
    The Kid                      | 1921 | Comedy, Drama               | 8.2
    Häxan                        | 1922 | Horror, Documentary         | 7.6
    Nosferatu                    | 1922 | Horror                      | 7.8
    Safety Last!                 | 1923 | Comedy                      | 8.1
    Aelita                       | 1924 | Science fiction, Drama      | 6.4
    Sherlock Jr.                 | 1924 | Comedy, Romance             | 8.2
    The Thief of Bagdad          | 1924 | Adventure, Romance          | 7.7
    Battleship Potemkin          | 1925 | Drama, History              | 7.9
    Strike                       | 1925 | Drama, History              | 7.5
    The Gold Rush                | 1925 | Comedy, Adventure           | 8.1
    The Lost World               | 1925 | Adventure, Science fiction  | 7.0
    The Phantom of the Opera     | 1925 | Horror, Romance             | 7.5
    The General                  | 1926 | Comedy, Adventure           | 8.1
    Metropolis                   | 1927 | Science fiction, Drama      | 8.3
    Sunrise                      | 1927 | Drama, Romance              | 8.1
    Wings                        | 1927 | Drama, War                  | 7.6
    Pandora's Box                | 1929 | Drama, Crime                | 7.8
    Steamboat Bill, Jr.          | 1928 | Comedy                      | 7.8
    The Circus                   | 1928 | Comedy, Romance             | 8.1
    The Passion of Joan of Arc   | 1928 | Drama, History              | 8.1
    Man with a Movie Camera      | 1929 | Documentary                 | 8.3
    White Zombie                 | 1932 | Horror                      | 6.2
    My Man Godfrey               | 1936 | Comedy, Romance             | 8.0
    His Girl Friday              | 1940 | Comedy, Romance             | 7.8
    Detour                       | 1945 | Crime, Thriller             | 7.3
    Scarlet Street               | 1945 | Crime, Drama                | 7.7
    The Stranger                 | 1946 | Crime, Thriller             | 7.3
    D.O.A.                       | 1950 | Crime, Thriller             | 7.2
    The Hitch-Hiker              | 1953 | Crime, Thriller             | 6.9
    House on Haunted Hill        | 1959 | Horror                      | 6.7
    The Little Shop of Horrors   | 1960 | Comedy, Horror              | 6.2
    Carnival of Souls            | 1962 | Horror                      | 7.0
    Charade                      | 1963 | Comedy, Romance, Thriller   | 7.9
    The Last Man on Earth        | 1964 | Horror, Science fiction     | 6.7
    Night of the Living Dead     | 1968 | Horror, Thriller            | 7.8
""")

SERIES: Final = (
    Series(
        "les-vampires",
        "Les Vampires",
        1915,
        ("Crime", "Thriller"),
        7.3,
        2,
        (
            "The Severed Head",
            "The Ring That Kills",
            "The Red Codebook",
            "The Spectre",
            "Dead Man's Escape",
            "Hypnotic Eyes",
            "Satanas",
            "The Thunder Master",
            "The Poisoner",
            "The Terrible Wedding",
        ),
    ),
    Series(
        "the-phantom-empire",
        "The Phantom Empire",
        1935,
        ("Science fiction", "Western"),
        6.3,
        4,
        (
            "The Singing Cowboy",
            "The Thunder Riders",
            "The Lightning Chamber",
            "Phantom Broadcast",
            "Beneath the Earth",
            "Disaster from the Skies",
            "From Death to Life",
            "Jaws of Jeopardy",
            "Prisoners of the Ray",
            "The Rebellion",
            "A Queen in Chains",
            "The End of Murania",
        ),
    ),
)

CATALOGUE: Final = SINGLE + tuple(film for series in SERIES for film in series.episodes)
