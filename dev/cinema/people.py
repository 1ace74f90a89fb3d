"""The audience: three hundred people all over the Earth, the same ones for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from random import Random
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from dev.cinema.facts import Hours

AUDIENCE: Final = 300

# The shapes of a registration (CONTRACT, "Records"): with an id, by address alone, as an older
# service sends it, and none at all: such a person has a profile and is greeted by the bare trigger.
FULL: Final = "full"
BY_ADDRESS: Final = ("plain", "older")
PROFILE_ONLY: Final = "none"

# By the number's rest modulo 20: evenings, which hold back the weekly reminder until the next
# morning; mornings, which hold back the monthly statistics for hours; nights.
QUIET: Final = {
    2: Hours(time(17), time(22)),
    6: Hours(time(9), time(13)),
    15: Hours(time(22, 30), time(8)),
}
# By the number's rest modulo 50.
CHANNELS: Final[dict[int, dict[str, list[str]]]] = {
    5: {"episode": ["email"]},
    16: {"episode": ["websocket"]},
    28: {"monthly_statistic": ["email", "websocket"]},
    40: {"weekly_reminder": []},
}

# Half and quarter hours, both hemispheres, with and without daylight saving time, both ends of the
# day; one that saves half an hour only (Lord Howe) and one that does it for Ramadan (Casablanca).
RUSSIAN: Final = (
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Krasnoyarsk",
    "Asia/Irkutsk",
    "Asia/Vladivostok",
    "Asia/Kamchatka",
    "Asia/Almaty",
    "Asia/Tbilisi",
)
ENGLISH: Final = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Africa/Casablanca",
    "Africa/Nairobi",
    "Africa/Johannesburg",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Yangon",
    "Asia/Tokyo",
    "Australia/Perth",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Marquesas",
    "Pacific/Honolulu",
    "America/St_Johns",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Caracas",
    "America/Sao_Paulo",
    "America/Santiago",
)
ZONES: Final = RUSSIAN + ENGLISH

# given name, the same in letters of an address
RUSSIAN_NAMES: Final = (
    ("Анна", "anna"), ("Борис", "boris"), ("Вера", "vera"), ("Глеб", "gleb"), ("Дарья", "darya"),
    ("Егор", "egor"), ("Жанна", "zhanna"), ("Зоя", "zoya"), ("Иван", "ivan"), ("Кира", "kira"),
    ("Лев", "lev"), ("Мария", "maria"), ("Нина", "nina"), ("Олег", "oleg"), ("Пётр", "petr"),
    ("Роман", "roman"), ("Софья", "sofya"), ("Тимур", "timur"), ("Ульяна", "ulyana"),
    ("Юрий", "yuri"),
)  # fmt: skip
RUSSIAN_SURNAMES: Final = (
    ("Белых", "belykh"), ("Бондаренко", "bondarenko"), ("Гурченко", "gurchenko"),
    ("Дурново", "durnovo"), ("Живаго", "zhivago"), ("Короленко", "korolenko"),
    ("Лысенко", "lysenko"), ("Плевако", "plevako"), ("Черных", "chernykh"), ("Шевчук", "shevchuk"),
)  # fmt: skip
ENGLISH_NAMES: Final = (
    "Ada", "Ben", "Chloe", "Dylan", "Emma", "Finn", "Grace", "Hugo", "Isla", "Jack", "Kate", "Liam",
    "Maya", "Noah", "Olive", "Priya", "Quinn", "Ruth", "Sam", "Tess",
)  # fmt: skip
ENGLISH_SURNAMES: Final = (
    "Arbuckle", "Bow", "Chaney", "Davies", "Fairbanks", "Gish", "Keaton", "Lloyd", "O'Neil",
    "Pickford",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who goes to this cinema, as the cinema knows them from the first day.

    `shape` is which of the contract's registration records announces the person; `channels` and
    `quiet` are what the profile says.
    """

    user_id: str
    email: str
    username: str
    locale: str
    timezone: str
    shape: str
    quiet: Hours | None = None
    channels: dict[str, list[str]] | None = None

    @property
    def value(self) -> dict[str, Any]:
        """The record's value on `users`; a numeric id is an integer there."""
        return {
            "user_id": int(self.user_id) if self.user_id.isdecimal() else self.user_id,
            "email": self.email,
            "username": self.username,
            "timezone": self.timezone,
            "locale": self.locale,
            "quiet_hours": self.quiet.value if self.quiet else None,
            "channels": self.channels or {},
        }


def audience(seed: int, count: int = AUDIENCE) -> tuple[Person, ...]:
    """Return the people, in the order of their ids' numbers, equal for equal seeds."""
    random = Random(f"people {seed}")
    return tuple(_person(number, random) for number in range(1, count + 1))


def user_of(email: str) -> str:
    """Return the id of someone known by address only, as the contract defines it."""
    return str(uuid5(NAMESPACE_URL, "mailto:" + email.lower()))


def _person(number: int, random: Random) -> Person:
    zone = ZONES[number % len(ZONES)]
    if zone in RUSSIAN:
        locale = "ru"
        (given, mailbox), (family, surname) = (
            random.choice(RUSSIAN_NAMES),
            random.choice(RUSSIAN_SURNAMES),
        )
    else:
        locale = "en"
        given, family = random.choice(ENGLISH_NAMES), random.choice(ENGLISH_SURNAMES)
        mailbox, surname = given, family.replace("'", "")
    email = f"{mailbox}.{surname}.{number}@mail.example"
    shape = _shape(number)
    if shape in BY_ADDRESS:
        user_id = user_of(email)
    else:
        user_id = str(100_000 + number) if number % 9 == 4 else f"u{number:04d}"
    return Person(
        user_id=user_id,
        email=email,
        username=f"{given} {family}",
        locale=locale,
        timezone=zone,
        shape=shape,
        quiet=QUIET.get(number % 20),
        channels=CHANNELS.get(number % 50),
    )


def _shape(number: int) -> str:
    if number % 10 in (3, 7):
        return BY_ADDRESS[number % 10 == 7]
    return PROFILE_ONLY if number % 30 == 11 else FULL
