"""The load: what a cinema's producers send, each event with a mark, some of it wrong on purpose."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from dev.chaos.marks import mark
from dev.chaos.wants import Entry, Event, Listed, Mail, Skipped, Told, Watched, Zone
from dev.chaos.world import (
    FILMS,
    FOLLOWERS,
    GUESTS,
    READERS,
    REGULARS,
    SERIES,
    STEADY,
    ZONES,
    months,
)
from dev.chaos.writer import Writer
from streams.fields import user_of

# Of a hundred events: so many happen to regulars, and of those with a name so many come again.
REGULAR: Final = 10
REPEATED: Final = 12
# A repeat comes at once or so many events later: in the same batch, and after a kill.
LATER: Final = (0, 4000)
# At some hundred events a second so many are seconds.
SECONDS_LATER: Final = 2000
# Days on which it is the same month in every zone.
SAME_MONTH: Final = (3, 26)
# Weights of what may happen; letters, greetings and activity are the urgent ones.
WEIGHTS: Final = {
    "join": 8,
    "watch": 34,
    "activity": 22,
    "letter": 12,
    "bookmark": 6,
    "choose": 5,
    "premiere": 3,
    "older": 2,
    "greet_again": 2,
    "same_letter": 1,
    "wrong": 3,
    "told": 0.25,
}


class Load:
    """Yields events for ever; the same seed gives the same ones."""

    def __init__(self, seed: int, partitions: int, now: datetime) -> None:
        self._dice = Random(f"load {seed}")
        self._writer = Writer(self._dice, partitions, now)
        self._months = months(now)
        self._people: list[str] = []
        self._choosers: deque[str] = deque()
        self._listed: deque[tuple[int, str, str]] = deque()
        self._pairs: set[tuple[str, str]] = set()
        self._later: list[tuple[int, int, Event]] = []
        self._letters: deque[tuple[str, str]] = deque(maxlen=50)
        self.addresses: dict[str, str] = {}

    def prologue(self) -> Iterator[Event]:
        """Yield what has to be there first: no schedule, the films, the steady followers."""
        for kind in ("weekly_reminder", "monthly_statistic"):
            # What time it is while this runs must not matter.
            campaign = {"campaign_id": kind, "kind": kind, "cron": "0 0 1 1 *", "enabled": False}
            yield self._writer.write("campaigns", kind, campaign)
        for film_id, genres in FILMS.items():
            film = {"film_id": film_id, "title": film_id.title(), "genres": genres}
            yield self._writer.write("films", film_id, film)
        for user_id in FOLLOWERS:
            yield from self._profile(user_id)
            for series_id in STEADY:
                yield self._list(user_id, series_id, True)
        for user_id in REGULARS:
            yield from self._profile(user_id)

    def epilogue(self) -> Iterator[Event]:
        """Yield an episode of each series that people have put on their lists."""
        for series_id in SERIES:
            yield self._episode(series_id, "k")

    def people(self, number: int) -> Iterator[Event]:
        """Yield profiles that only fill the tables."""
        for one in range(number):
            yield from self._profile(f"crowd-{one}")

    def events(self) -> Iterator[Event]:
        """Yield what happens, without an end."""
        yield from self._join()
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        makers: dict[str, Callable[[], Iterator[Event]]] = {
            name: getattr(self, f"_{name}") for name in names
        }
        while True:
            while self._later and self._later[0][0] <= self._writer.number:
                yield heappop(self._later)[-1]
            (name,) = self._dice.choices(names, weights)
            for event in makers[name]():
                yield event
                if event.event_id is not None and self._dice.random() * 100 < REPEATED:
                    self._repeat(event)

    # -- what may happen

    def _join(self) -> Iterator[Event]:
        number = self._writer.next()
        name, user_id = mark("p", number), f"person-{number}"
        address = f"{user_id}@example.com"
        profile = list(self._profile(user_id, name))
        value = {"event": "send_greeting", "user_id": user_id, "email": address, "username": name}
        greeting = self._writer.write("registration", user_id, value, Mail(name, address))
        # Both orders happen: two topics have none.
        yield from (*profile, greeting) if number % 2 else (greeting, *profile)
        self._people.append(user_id)
        self._choosers.append(user_id)

    def _older(self) -> Iterator[Event]:
        number = self._writer.next()
        name, address = mark("p", number), f"older-{number}@example.com"
        value = {"link_out": "https://c.example/hi", "link": "-", "user": name, "email": address}
        yield self._writer.write("registration", user_of(address), value, Mail(name, address))

    def _greet_again(self) -> Iterator[Event]:
        # Long enough ago that it is a second one wherever the first was delayed.
        user_id = self._dice.choice(self._people[: len(self._people) // 2 + 1])
        value = {"event": "send_greeting", "user_id": user_id, "email": self.addresses[user_id]}
        value["username"] = mark("p", int(user_id.rpartition("-")[2]))
        yield self._writer.write("registration", user_id, value, Skipped(user_id, "welcome"))

    def _watch(self) -> Iterator[Event]:
        user_id, film_id = self._person(), self._dice.choice(list(FILMS))
        month = self._dice.choice(self._months)
        day, second = self._dice.randint(*SAME_MONTH), self._dice.randrange(86_400)
        at = datetime.fromisoformat(f"{month}-{day:02d}T00:00:00+00:00")
        at += timedelta(seconds=second)
        seconds = self._dice.randint(60, 9000)
        value = {"user_id": user_id, "film_id": film_id, "seconds": seconds}
        value["at"] = at.isoformat() if seconds % 2 else at.timestamp()
        want = Watched(user_id, month, film_id, seconds)
        yield self._writer.write("watch_history", user_id, value, want)

    def _activity(self) -> Iterator[Event]:
        user_id, name = self._person(), mark("a", self._writer.next())
        value = {"user_id": user_id, "body": f"{name}: somebody liked what you wrote"}
        yield self._writer.write("activity", user_id, value, Entry(name, user_id))

    def _letter(self) -> Iterator[Event]:
        name = mark("l", self._writer.next())
        addresses = self._dice.sample(READERS, self._dice.choice((1, 1, 2, 3)))
        value = {"subject": f"A letter {name}", "text": f"{name} has news.", "to": addresses}
        self._letters.append((name, addresses[0]))
        wants = [Mail(name, address) for address in addresses]
        yield self._writer.write("letters", None, value, *wants)

    def _same_letter(self) -> Iterator[Event]:
        # The same again to one that has it: whichever comes first is sent, and one is skipped.
        if self._letters:
            name, address = self._letters[0]
            value = {"subject": f"A letter {name}", "text": f"{name} has news.", "to": address}
            yield self._writer.write("letters", None, value, Skipped(user_of(address), "letter"))

    def _bookmark(self) -> Iterator[Event]:
        if self._listed and self._writer.number - self._listed[0][0] > SECONDS_LATER:
            # The time of the record decides: seconds lie between the two.
            _, user_id, series_id = self._listed.popleft()
            if self._dice.random() < 0.5:
                yield self._list(user_id, series_id, False)
        pair = self._person(), self._dice.choice(SERIES)
        if pair not in self._pairs:
            self._pairs.add(pair)
            self._listed.append((self._writer.number, *pair))
            yield self._list(*pair, True)

    def _choose(self) -> Iterator[Event]:
        if self._choosers:
            # Once each, so that there is no question which was the last.
            user_id, timezone = self._choosers.popleft(), self._dice.choice(ZONES)
            value = {"user_id": user_id, "timezone": timezone}
            yield self._writer.write("preferences", user_id, value, Zone(user_id, timezone, True))

    def _premiere(self) -> Iterator[Event]:
        name = mark("e", self._writer.next())
        people = self._dice.sample(GUESTS, self._dice.choice((1, 2, 3)))
        value: dict[str, Any] = {"serial_name": name, "link": "https://c.example/s", "episode": 1}
        value["users"] = [{"name": "Guest", "email": one} for one in people]
        wants = [Mail(name, one) for one in people] + [Entry(name, user_of(one)) for one in people]
        yield self._writer.write("episodes", None, value, *wants)

    def _told(self) -> Iterator[Event]:
        yield self._episode(self._dice.choice(STEADY), "s")

    def _episode(self, series_id: str, kind: str) -> Event:
        name = mark(kind, self._writer.next())
        value = {"serial_name": name, "series_id": series_id, "link": "https://c.example/s"}
        return self._writer.write("episodes", series_id, value, Told(name, series_id))

    def _wrong(self) -> Iterator[Event]:
        yield self._writer.wrong(self._person())

    # -- how it is sent

    def _profile(self, user_id: str, name: str = "") -> Iterator[Event]:
        address, timezone = f"{user_id}@example.com", self._dice.choice(ZONES)
        self.addresses[user_id] = address
        value = {"user_id": user_id, "email": address, "username": name, "timezone": timezone}
        yield self._writer.write("users", user_id, value, Zone(user_id, timezone, False))

    def _list(self, user_id: str, series_id: str, added: bool) -> Event:
        value = {"user_id": user_id, "series_id": series_id, "added": added}
        return self._writer.write(
            "bookmarks", user_id, value, Listed(user_id, series_id, added, self._writer.next())
        )

    def _repeat(self, event: Event) -> None:
        when = self._writer.number + self._dice.randint(*LATER)
        heappush(self._later, (when, self._writer.next(), event))

    def _person(self) -> str:
        regular = self._dice.random() * 100 < REGULAR
        return self._dice.choice(REGULARS if regular else self._people)
